import type { SinkhornOptions } from "#/kernels/mod.ts";
import type { Scorer } from "#/models/mod.ts";
import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import { align } from "#/stages/align/align.ts";
import type { CostName } from "#/stages/align/costs/mod.ts";
import {
  type AlignMethod,
  type AlignMethodName,
  methods,
} from "#/stages/align/methods/mod.ts";
import {
  type PositionPairs,
  positionPairs,
} from "#/stages/align/position_pairs.ts";
import { startRows, TokenRelations } from "#/stages/align/token_relations.ts";
import { mapVocab } from "#/stages/map_vocab/map_vocab.ts";
import { represent } from "#/stages/represent/represent.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import type {
  InspectedPair,
  InspectedSource,
  Inspection,
  Rewritten,
} from "./inspection.ts";
import { readingOf, sharesOf } from "./reading.ts";
import {
  RecordingSolver,
  rounded,
  type TransportTokens,
} from "./transports.ts";

/** A model to look into. */
export interface InspectModel {
  /** What the page calls it. */
  name: string;
  /** Its tokenizer. */
  tokenizer: Tokenizer;
  /** Its forward pass. */
  scorer: Scorer;
}

/** How to inspect. */
export interface InspectOptions {
  /** Candidates of each model, and tokens kept of every result. Defaults to 10. */
  topK?: number;
  /** How to transport, for the methods that do. */
  sinkhorn?: SinkhornOptions;
  /** What it costs to move mass, for the same. Defaults to `byte-edit-distance`. */
  cost?: CostName;
}

/** Every method of the table once, under its first name, that speaks in the target's tokens. */
const shownMethods = (
  Object.entries(methods) as [AlignMethodName, AlignMethod][]
).filter(([, method], index, all) =>
  !method.keepsTokens &&
  all.findIndex(([, other]) => other === method) === index
);

/** Two models' representations of the text. */
interface Facing {
  target: Tokenizer;
  source: Tokenizer;
  targetRow: RepresentationRow;
  sourceRow: RepresentationRow;
}

/** What one method made of the whole text. */
interface MethodResult {
  aligned: AlignedRow;
  solver: RecordingSolver;
}

/**
 * Look at a text as alignment sees it: what target and sources predict, which
 * positions face each other, and what every method makes of each pair.
 *
 * A text that does not fit a model's context is cut at its end, and the result
 * says by how many bytes.
 *
 * @param text The text.
 * @param target The target.
 * @param sources The sources.
 * @param options See {@linkcode InspectOptions}.
 * @returns What the page shows.
 * @throws {RangeError} If a model computes NaN.
 */
export async function inspect(
  text: string,
  target: InspectModel,
  sources: readonly InspectModel[],
  options: InspectOptions = {},
): Promise<Inspection> {
  const shown = fitting(text, [target, ...sources]);
  const bytes = byteLength(shown);
  const targetRow = await representationOf(shown, target, options);
  const all: InspectedSource[] = [];
  const used: number[] = [];
  for (const source of sources) {
    const sourceRow = await representationOf(shown, source, options);
    const pairs = await inspectPairs({
      target: target.tokenizer,
      source: source.tokenizer,
      targetRow,
      sourceRow,
    }, options);
    all.push({ ...readingOf(sourceRow, source), pairs });
    used.push(...targetIdsOf(pairs));
  }
  return {
    text: shown,
    bytes,
    cut: byteLength(text) - bytes,
    methods: shownMethods.map(([name, { description, corrected }]) => ({
      ...{ name, description, corrected },
    })),
    target: readingOf(targetRow, target, used),
    sources: all,
  };
}

/** The longest start of a text, about, that leaves every model room for BOS and EOS. */
function fitting(text: string, models: readonly InspectModel[]): string {
  const fits = (part: string) =>
    models.every(({ tokenizer, scorer }) =>
      tokenizer.encode(part).ids.length + 2 <= scorer.contextLength
    );
  let characters = Array.from(text);
  while (characters.length > 0 && !fits(characters.join(""))) {
    characters = characters.slice(0, Math.floor(characters.length * 0.95));
  }
  return characters.join("");
}

async function representationOf(
  text: string,
  model: InspectModel,
  { topK = 10 }: InspectOptions,
): Promise<RepresentationRow> {
  const block = { id: "0", document: "0", block: 0, last: true, text };
  const [row] = await Array.fromAsync(represent([block], model, { topK }));
  return row!;
}

async function inspectPairs(
  facing: Facing,
  { sinkhorn = {}, cost = "byte-edit-distance" }: InspectOptions,
): Promise<InspectedPair[]> {
  const { target, source, targetRow, sourceRow } = facing;
  const mapping = [...mapVocab(target, source)];
  const inputs = {
    ...{ target, source, mapping },
    targetRows: [targetRow],
    sourceRows: [sourceRow],
  };
  const results: MethodResult[] = [];
  for (const [method] of shownMethods) {
    const solver = new RecordingSolver();
    const { solve } = solver;
    const rows = align(inputs, { method, sinkhorn, cost, solve });
    const [aligned] = await Array.fromAsync(rows);
    results.push({ aligned: aligned!, solver });
  }
  const relations = new TokenRelations(target, source, mapping);
  const pairs = positionPairs(targetRow.byteEnds, sourceRow.byteEnds);
  const meeting = tokensMeeting(facing, pairs, relations);
  return Array.from(pairs.target, (t, index) => {
    const s = pairs.source[index]!;
    const given = massOf(sourceRow, s);
    return {
      target: t,
      source: s,
      offset: targetRow.byteEnds[t]!,
      rewritten: results.map(({ aligned, solver }): Rewritten => {
        const transport = solver.at(index, meeting(index));
        return {
          top: sharesOf(aligned, t),
          lost: rounded(Math.max(0, given - massOf(aligned, t))),
          marginalError: aligned.marginalError[t]!,
          ...(transport && { transport }),
        };
      }),
    };
  });
}

/** Which tokens meet at a pair, as transport lists them. */
function tokensMeeting(
  { target, source, targetRow, sourceRow }: Facing,
  pairs: PositionPairs,
  relations: TokenRelations,
): (index: number) => TransportTokens {
  const targetStart = startRows(target, targetRow.inputIds, targetRow.byteEnds);
  const sourceStart = startRows(source, sourceRow.inputIds, sourceRow.byteEnds);
  return (index) => {
    const [t, s] = [pairs.target[index]!, pairs.source[index]!];
    const relation = relations.at(t < targetStart, s < sourceStart);
    const sourceIds = sharesOf(sourceRow, s, Infinity)
      .map(([id]) => id)
      .filter((id) => relation.images(id).length > 0);
    const targetIds = new Set(
      sharesOf(targetRow, t, Infinity).map(([id]) => id),
    );
    for (const id of sourceIds) {
      for (const { targetId } of relation.images(id)) targetIds.add(targetId);
    }
    return { sourceIds, targetIds: [...targetIds] };
  };
}

/** Tokens of the target that occur in what the methods make of the pairs. */
function targetIdsOf(pairs: readonly InspectedPair[]): number[] {
  const results = pairs.flatMap(({ rewritten }) => rewritten);
  const ids = results.flatMap(({ top, transport }) => [
    ...top.map(([id]) => id),
    ...transport?.targetIds ?? [],
  ]);
  return [...new Set(ids)];
}

function massOf(
  row: Pick<RepresentationRow, "topK" | "topkIds" | "topkLogprobs">,
  t: number,
): number {
  return sharesOf(row, t, Infinity).reduce((sum, [, p]) => sum + p, 0);
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
