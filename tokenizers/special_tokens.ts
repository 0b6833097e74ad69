import type { TokenizerFiles } from "./tokenizer_json.ts";

/** The ids of special tokens, by what they are for. */
export interface SpecialRoles {
  /** Begins a sequence. */
  bos?: number;
  /** Ends a document. */
  eos?: number;
  /** Fills a batch. */
  pad?: number;
  /** Stands for what the vocabulary cannot spell. */
  unk?: number;
}

/** Spellings that need no explanation, for directories without a config. */
const USUAL = {
  bos: ["<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>", "[CLS]"],
  eos: ["</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "[SEP]"],
  pad: ["<pad>", "[PAD]", "<|padding|>"],
  unk: ["<unk>", "[UNK]"],
} satisfies Record<keyof SpecialRoles, string[]>;

/**
 * Find the special tokens by role.
 *
 * A role is what tokenizer_config.json (else special_tokens_map.json) names,
 * `null` meaning none; where both are silent it is a special token of a usual
 * spelling, else the special token whose id generation_config.json or config.json
 * gives. The unknown token may also be the model's.
 *
 * @param files The tokenizer's files.
 * @param tokens The token string of every id.
 * @returns The ids of the roles that there are.
 */
export function specialRoles(
  { json, config, model }: TokenizerFiles,
  tokens: readonly string[],
): SpecialRoles {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const added = new Set(
    json.added_tokens.filter(({ special }) => special)
      .map(({ content }) => content),
  );
  const isSilent = !("bos_token" in config) && !("eos_token" in config);
  const roles: SpecialRoles = {};
  for (const role of ["bos", "eos", "pad", "unk"] as const) {
    const usual = USUAL[role].find((spelling) => added.has(spelling));
    // Of several, the first is what ends a text. Defaults of a class may be there.
    const [modelId] = [model[`${role}_token_id`]].flat();
    const ofModel = tokens[modelId as number] ?? "";
    const name = contentOf(config[`${role}_token`]) ??
      (isSilent ? usual : undefined) ??
      (added.has(ofModel) ? ofModel : undefined) ??
      (role === "unk" ? unknownOf(json.model, tokens) : undefined);
    const id = name === undefined ? undefined : ids.get(name);
    if (id !== undefined) roles[role] = id;
  }
  return roles;
}

/**
 * Find all ids that are special.
 *
 * @param files The tokenizer's files.
 * @param roles What {@linkcode specialRoles} returned.
 * @returns The added tokens that are marked special, and the roles' tokens. A
 * padding token that is not marked is an ordinary token put to that use.
 */
export function specialIds(
  { json }: TokenizerFiles,
  { bos, eos, unk }: SpecialRoles,
): ReadonlySet<number> {
  const ids = json.added_tokens.filter(({ special }) => special)
    .map(({ id }) => id);
  const roles = [bos, eos, unk].filter((id) => id !== undefined);
  return new Set([...ids, ...roles]);
}

function unknownOf(
  { unk_token, unk_id }: TokenizerFiles["json"]["model"],
  tokens: readonly string[],
): string | undefined {
  return unk_token ?? (unk_id == null ? undefined : tokens[unk_id]);
}

function contentOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}
