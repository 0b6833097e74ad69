/**
 * Runs a model for a {@linkcode ScorerPool}: a run blocks its thread.
 *
 * @module
 */
import {
  openScorer,
  type RunOptions,
  type Scorer,
  type TopLogprobs,
} from "#/models/mod.ts";
import { buffersOf, serve } from "#/stages/rpc.ts";

let scorer: Scorer;

const offered = {
  /** Gets ready; what the model takes. */
  async open(
    directory: string,
    options: RunOptions,
  ): Promise<{ vocabSize: number; contextLength: number }> {
    scorer = await openScorer(directory, options);
    const { vocabSize, contextLength } = scorer;
    return { vocabSize, contextLength };
  },
  /** See {@linkcode Scorer.topLogprobs}. */
  topLogprobs(
    ...batch: Parameters<Scorer["topLogprobs"]>
  ): Promise<TopLogprobs> {
    return scorer.topLogprobs(...batch);
  },
  /** Frees what the model holds. */
  async close(): Promise<void> {
    await scorer?.close();
  },
};

/** What the worker answers. */
export type ScorerMethods = typeof offered;

serve(offered, (result) => result ? buffersOf(result) : []);
