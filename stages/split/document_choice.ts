import { createHash } from "node:crypto";

/** Which documents are taken, and for what. */
export interface ChoiceOptions {
  /** Share of the documents for validation, 0 to 1. */
  validation: number;
  /** Share of the documents that is taken at all, 0 to 1. */
  sample: number;
  /** Another seed, another choice. */
  seed: number;
}

/** What a document is for. */
export type Choice = "train" | "validation" | "none";

/**
 * Decide what a document is for, by a hash of its text.
 *
 * So the choice does not depend on the order or names of files, equal documents
 * are never on both sides, and a smaller sample is a part of a larger one.
 *
 * @param text The document.
 * @param options See {@linkcode ChoiceOptions}.
 * @returns `none` for what is not in the sample.
 */
export function chooseDocument(
  text: string,
  { validation, sample, seed }: ChoiceOptions,
): Choice {
  const digest = createHash("sha256").update(`${seed}\n`).update(text).digest();
  const share = (at: number) => digest.readUIntBE(at, 6) / 2 ** 48;
  if (share(0) >= sample) return "none";
  return share(6) < validation ? "validation" : "train";
}
