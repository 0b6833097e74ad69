/** What a loss makes of a teacher's residual: the names `--residual` takes. */
export type ResidualName = "bucket" | "spread" | "ignored" | "zero";

/** A way to take a residual. */
export interface Residual {
  /**
   * What is compared: only the top-k (0), the top-k and the tail as one (1), or
   * every token of the vocabulary (2).
   */
  outcomes: 0 | 1 | 2;
  /** Whether the top-k is scaled to 1, and the residual dropped. */
  scales: boolean;
}

/**
 * What may become of a residual, by name.
 *
 * `bucket`: one more outcome, compared with the model's mass outside the top-k.
 * `spread`: an even share for every token outside the top-k. `ignored`: both
 * sides are compared given that the token is one of the top-k. `zero`: the
 * teacher is its top-k scaled to 1 and rules all other tokens out, as in most
 * published code.
 */
export const residuals: Record<ResidualName, Residual> = {
  bucket: { outcomes: 1, scales: false },
  spread: { outcomes: 2, scales: false },
  ignored: { outcomes: 0, scales: true },
  zero: { outcomes: 1, scales: true },
};
