import { MAX_TOKENS } from "./capture.ts";
import { type Flag, pta } from "./pta.ts";

/** One way to go on training the target. */
export interface Student {
  /** Datasets of aligned distributions; none is plain training. */
  aligned: readonly string[];
  /** Flags of `pta train` that make this student what it is. */
  flags: Record<string, Flag>;
}

/** Bits per byte by domain. */
export type Scores = Record<string, number>;

/**
 * Pack, train and evaluate one student.
 *
 * @param name What the student is called on disk.
 * @param student How it learns.
 * @param target The model it starts from, and that model's representations.
 * @param tests Held-out files by domain.
 * @param out Where packed rows and checkpoints go.
 * @returns Its bits per byte on every domain.
 */
export async function teach(
  name: string,
  student: Student,
  target: { model: string; representations: string },
  tests: Record<string, string>,
  out: string,
): Promise<Scores> {
  const packed = await packOnce(student.aligned, target.representations, out);
  await pta("train", {
    model: target.model,
    data: packed,
    out: `${out}/students/${name}`,
    resume: true,
    ...student.flags,
  });
  return await score(`${out}/students/${name}`, tests);
}

/**
 * Bits per byte of a model on held-out files.
 *
 * @param model Directory of the model.
 * @param tests Files by domain.
 * @returns Bits per byte by domain.
 */
export async function score(
  model: string,
  tests: Record<string, string>,
): Promise<Scores> {
  const lines = await pta("evaluate", { model, text: Object.values(tests) });
  return Object.fromEntries(
    Object.keys(tests).map((domain, i) => [
      domain,
      (lines[i] as { bits_per_byte: number }).bits_per_byte,
    ]),
  );
}

/** Students that learn from the same datasets share their packed rows. */
async function packOnce(
  aligned: readonly string[],
  representations: string,
  out: string,
): Promise<string> {
  const method = aligned[0]?.split("/").at(-2) ?? "plain";
  const packed = `${out}/packed/${method}`;
  await pta("pack", {
    "target-representations": representations,
    aligned,
    length: MAX_TOKENS,
    out: packed,
  });
  return packed;
}
