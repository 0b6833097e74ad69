import {
  cast,
  concat,
  createSession,
  encodeModel,
  gatherElements,
  log,
  reduceMax,
  reshape,
  type Session,
  softmax,
  splitEqually,
  sub,
  Tape,
  type Tensor,
  topK as largest,
  type Value,
} from "#/onnx/mod.ts";
import { describeModel } from "./architectures.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { findExport, openExportedScorer } from "./exported_scorer.ts";
import { freeze, naming } from "./frozen.ts";
import { precision, type RunOptions } from "./run_options.ts";
import { rowsAtATime } from "./row_chunks.ts";
import { TiledGraphs } from "./tiled_graphs.ts";
import { Trace } from "./trace.ts";

export type { RunOptions };

/** The most likely next tokens, with logprobs over the whole vocabulary. */
export interface TopLogprobs {
  /** Tokens, `[B, T, K]`, the likeliest first. */
  topkIds: Int32Array<ArrayBuffer>;
  /** Their logprobs, `[B, T, K]`. */
  topkLogprobs: Float32Array;
  /** Logprob of `inputIds[t + 1]` under row t, `[B, T]`; NaN on the last row. */
  labelLogprobs: Float32Array;
}

/** Scores token sequences with a model. */
export interface Scorer extends AsyncDisposable {
  /** Width V of the logits. */
  readonly vocabSize: number;
  /** Longest sequence. */
  readonly contextLength: number;
  /**
   * Logits of every row.
   *
   * @param inputIds `[B, T]`; pad on the right with any token.
   * @param batch B.
   * @param length T.
   * @returns `[B, T, V]`.
   */
  logits(
    inputIds: Int32Array,
    batch: number,
    length: number,
  ): Promise<Float32Array>;
  /**
   * The K largest logprobs of every row, and those of its label. Only they leave
   * the graph.
   *
   * @param inputIds `[B, T]`; pad on the right with any token.
   * @param batch B.
   * @param length T.
   * @param topK K, at most V.
   * @returns Tokens and logprobs.
   */
  topLogprobs(
    inputIds: Int32Array,
    batch: number,
    length: number,
    topK: number,
  ): Promise<TopLogprobs>;
  /** Free what it holds. */
  close(): Promise<void>;
}

/**
 * Open a model for scoring. Its weights are read in place. A model of another
 * architecture runs from its ONNX export (`onnx/model*.onnx`) by transformers.js.
 *
 * @param directory The model directory.
 * @param options See {@linkcode RunOptions}.
 * @returns The scorer, to be closed by the caller.
 * @throws {RangeError} If the model is not supported, or a sequence does not fit it.
 * @throws {Error} If the device cannot be used.
 */
export async function openScorer(
  directory: string,
  options: RunOptions = {},
): Promise<Scorer> {
  const found = await findExport(directory, options.dtype);
  if (found) return await openExportedScorer(directory, found, options);
  const checkpoint = await openCheckpoint(directory);
  naming(directory, () => scoringGraph(checkpoint, options));
  return new GraphScorer(checkpoint, options);
}

class GraphScorer implements Scorer {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #checkpoint: Checkpoint;
  readonly #options: RunOptions;
  /** By K and the parts of the head. */
  readonly #sessions = new Map<string, TiledGraphs<Session>>();

  constructor(checkpoint: Checkpoint, options: RunOptions) {
    const { vocabSize, contextLength } = describeModel(checkpoint.config);
    this.vocabSize = vocabSize;
    this.contextLength = contextLength;
    this.#checkpoint = checkpoint;
    this.#options = options;
  }

  async logits(inputIds: Int32Array, batch: number, length: number) {
    const outputs = await this.#run(inputIds, batch, length, 0);
    return outputs.logits!.data as Float32Array;
  }

  async topLogprobs(
    inputIds: Int32Array,
    batch: number,
    length: number,
    topK: number,
  ) {
    if (!(topK >= 1 && topK <= this.vocabSize)) {
      throw new RangeError(
        `Cannot take the top ${topK} of the logits, expected 1 to ${this.vocabSize}`,
      );
    }
    const outputs = await this.#run(inputIds, batch, length, topK);
    const labelLogprobs = outputs.label_logprobs!.data as Float32Array;
    for (let last = length - 1; last < labelLogprobs.length; last += length) {
      labelLogprobs[last] = NaN;
    }
    return {
      topkIds: Int32Array.from(
        outputs.topk_ids!.data as BigInt64Array,
        Number,
      ),
      topkLogprobs: outputs.topk_logprobs!.data as Float32Array,
      labelLogprobs,
    };
  }

  async close() {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map((session) => session.close()));
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  async #run(
    inputIds: Int32Array,
    batch: number,
    length: number,
    topK: number,
  ) {
    checkBatch(this, inputIds, batch, length);
    const parts = topK ? headParts(batch * length, this.vocabSize) : 1;
    const session = await this.#sessionsFor(topK, parts).fitting(length);
    const dims = [batch, length];
    const int64 = (f: (index: number) => number): Tensor => ({
      type: "int64",
      dims,
      data: BigInt64Array.from(inputIds, (_, index) => BigInt(f(index))),
    });
    const isLast = (index: number) => index % length === length - 1;
    return await session.run({
      input_ids: int64((index) => inputIds[index]!),
      position: int64((index) => index % length),
      ...topK && {
        labels: int64((index) => isLast(index) ? 0 : inputIds[index + 1]!),
      },
    });
  }

  #sessionsFor(topK: number, parts: number): TiledGraphs<Session> {
    const key = `${topK} of ${parts}`;
    let sessions = this.#sessions.get(key);
    if (!sessions) {
      sessions = new TiledGraphs((tiles) => {
        const graph = { topK, parts, tiles };
        return createSession(
          scoringGraph(this.#checkpoint, this.#options, graph),
          this.#options,
        );
      });
      this.#sessions.set(key, sessions);
    }
    return sessions;
  }
}

function checkBatch(
  { vocabSize, contextLength }: Scorer,
  inputIds: Int32Array,
  batch: number,
  length: number,
): void {
  if (inputIds.length !== batch * length || length < 1) {
    throw new RangeError(
      `Cannot score: inputIds has ${inputIds.length} entries, expected ` +
        `[${batch}, ${length}]`,
    );
  }
  if (length > contextLength) {
    throw new RangeError(
      `Cannot score sequences of ${length} tokens, expected at most the ` +
        `model's context of ${contextLength}`,
    );
  }
  const index = inputIds.findIndex((id) => id < 0 || id >= vocabSize);
  if (index >= 0) {
    throw new RangeError(
      `Cannot score: inputIds[${index}] is ${inputIds[index]}, expected 0 to ` +
        `${vocabSize - 1}`,
    );
  }
}

/** The whole model; logits come out where K is 0, else their K largest as logprobs. */
function scoringGraph(
  checkpoint: Checkpoint,
  options: RunOptions,
  { topK = 0, parts = 1, tiles = 1 } = {},
): Uint8Array {
  const tape = new Tape();
  const { model, weights, checkUnused } = freeze(tape, checkpoint);
  const ids = tape.input("input_ids", "int64", ["B", "T"]);
  const positions = tape.input("position", "int64", ["B", "T"]);
  const trace = new Trace({
    ids,
    positions,
    weights,
    tiles,
    ...precision(options),
  });
  let x = model.embed(trace);
  for (let layer = 0; layer < model.layers; layer++) {
    x = model.block(trace, x, layer);
  }
  const logitsOf = (x: Value) => cast(model.logits(trace, x), "float32");
  if (topK) {
    recordTop(
      tape,
      cutRows(x, parts).map((x) => () => logitsOf(x)),
      topK,
    );
  } else {
    const logits = reshape(logitsOf(x), ["B", "T", model.vocabSize]);
    tape.output(logits, "logits");
  }
  checkUnused();
  return encodeModel(tape.model());
}

/**
 * Fewer parts than that are not worth a graph of their own, which would hold
 * memory of its own; more save little of what is left.
 */
const PARTS = { least: 8, most: 16 };

/**
 * In how many parts rows go through the head, of which one's logits and softmax
 * are in memory at a time.
 */
function headParts(rows: number, vocabSize: number): number {
  const wanted = Math.ceil(rows / rowsAtATime(vocabSize));
  if (wanted === 1) return 1;
  // Powers of two, so that batches share graphs; at most √N, so that none is empty.
  const most = 2 ** Math.floor(Math.log2(Math.sqrt(rows)));
  const parts = wanted <= PARTS.least ? PARTS.least : PARTS.most;
  return Math.min(parts, most);
}

function cutRows(x: Value, parts: number): Value[] {
  if (parts === 1) return [x];
  const sizes = Array.from(
    { length: parts },
    (_, part) => part < parts - 1 ? "part" : "last",
  );
  return splitEqually(x, 0, sizes);
}

/** Takes the largest of each part's logits before the next part's are computed. */
function recordTop(
  tape: Tape,
  parts: readonly (() => Value)[],
  topK: number,
): void {
  const labels = reshape(
    tape.input("labels", "int64", ["B", "T"]),
    ["N", 1],
  );
  const tops = cutRows(labels, parts.length).map((labels, part) =>
    topOf(parts[part]!(), labels, topK)
  );
  const joined = (name: keyof ReturnType<typeof topOf>) =>
    tops.length === 1 ? tops[0]![name] : concat(
      tops.map((top) => top[name]),
      0,
      "N",
    );
  const shape = ["B", "T", topK];
  tape.output(reshape(joined("logprobs"), shape), "topk_logprobs");
  tape.output(reshape(joined("ids"), shape), "topk_ids");
  tape.output(reshape(joined("label"), ["B", "T"]), "label_logprobs");
}

function topOf(logits: Value, labels: Value, topK: number) {
  const [values, ids] = largest(logits, topK);
  // Softmax reads the logits once; what it makes of the largest tells log Z.
  const top = reduceMax(values, [-1]);
  const topProb = reduceMax(gatherElements(softmax(logits), ids), [-1]);
  const logZ = sub(top, log(topProb));
  const label = sub(gatherElements(logits, labels), logZ);
  return { logprobs: sub(values, logZ), ids, label };
}
