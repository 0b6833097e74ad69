import type { TopScorer } from "#/stages/scorer_pool.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";

/** A model to evaluate, with its tokenizer. */
export interface EvaluatedModel {
  /** Its tokenizer. */
  tokenizer: Tokenizer;
  /** Its forward pass. */
  scorer: TopScorer;
}

/** How to evaluate. */
export interface EvaluateOptions {
  /** Positions of a batch at most, padding included. Defaults to 2048. */
  batchTokens?: number;
  /** Batches that the model is given together. Defaults to 1. */
  concurrency?: number;
  /** Called as items are done, with how many. */
  onItems?: (count: number) => void;
}

/** What a model is measured by; one per flag of `pta evaluate`. */
export interface Task {
  /** One phrase of `--help`. */
  description: string;
  /**
   * Count what there is to do, so that progress has a total.
   *
   * @param paths The files.
   * @returns How many items they hold.
   */
  count(paths: readonly string[]): Promise<number>;
  /**
   * Measure a model.
   *
   * @param paths The files.
   * @param model The model.
   * @param options See {@linkcode EvaluateOptions}.
   * @returns One result per file, in order.
   */
  evaluate(
    paths: readonly string[],
    model: EvaluatedModel,
    options: EvaluateOptions,
  ): Promise<FileResult[]>;
}

/** What a task says about one file: its name, then numbers. */
export type FileResult = { file: string } & {
  [measure: string]: number | string;
};
