import type { Tokenizer } from "#/tokenizers/mod.ts";

/**
 * What a special token becomes, best first. A model that starts sequences with
 * EOS has no BOS, and the other way around; what ends a text is what is
 * predicted, so a token of both roles counts as EOS.
 */
const COUNTERPARTS = {
  eos: ["eos", "bos"],
  bos: ["bos", "eos"],
  unk: ["unk"],
  pad: ["pad"],
} as const;

/**
 * Map special tokens by role.
 *
 * @param target The target's tokenizer.
 * @param source The source's tokenizer.
 * @returns The target's id of each source id that has a role in both.
 */
export function specialImages(
  target: Pick<Tokenizer, "special">,
  source: Pick<Tokenizer, "special" | "specialIds">,
): ReadonlyMap<number, number> {
  const images = new Map<number, number>();
  for (const [role, counterparts] of Object.entries(COUNTERPARTS)) {
    const sourceId = source.special[role as keyof typeof COUNTERPARTS];
    if (sourceId === undefined || images.has(sourceId)) continue;
    // A padding token that is an ordinary token, too, stands for its bytes.
    if (!source.specialIds.has(sourceId)) continue;
    const targetId = counterparts.map((name) => target.special[name])
      .find((id) => id !== undefined);
    if (targetId !== undefined) images.set(sourceId, targetId);
  }
  return images;
}
