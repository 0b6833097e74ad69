import { startId, type Tokenizer } from "#/tokenizers/mod.ts";
import {
  type Continuation,
  logLikelihoods,
} from "#/stages/evaluate/log_likelihood.ts";
import type { EvaluatedModel, EvaluateOptions, Task } from "./task.ts";

/** One multiple-choice question. */
export interface Question {
  /** The file it is in. */
  file: string;
  /** Its line, from 1. */
  line: number;
  /** What comes before the answer. */
  context: string;
  /** The answers, as they follow the context: a space between the two belongs to one of them. */
  choices: string[];
  /** Which one is right, from 0. */
  label: number;
}

/** How many questions of a file a model answers. */
export type ChoicesResult = {
  /** The file. */
  file: string;
  /** Questions in it. */
  questions: number;
  /** Share whose most likely choice is the right one. */
  acc: number;
  /** The same by log-likelihood per byte of the choice. */
  acc_norm: number;
};

/**
 * Multiple choice by log-likelihood, as in lm-evaluation-harness: `acc` takes the
 * choice with the highest log-likelihood after the context, `acc_norm` the one
 * with the highest per byte of the choice. Of equals the first counts.
 *
 * Context and choice are encoded together; the tokens with a byte of the choice
 * are scored. Where both are longer than the model's context, the context loses
 * its beginning; the choice is never cut.
 *
 * @param questions The questions, those of a file together.
 * @param model The model.
 * @param options See {@linkcode EvaluateOptions}; an item is a question.
 * @returns One result per file, in order.
 * @see {@link https://github.com/EleutherAI/lm-evaluation-harness}
 */
export async function evaluateChoices(
  questions: AsyncIterable<Question>,
  { tokenizer, scorer }: EvaluatedModel,
  options: EvaluateOptions = {},
): Promise<ChoicesResult[]> {
  const results: ChoicesResult[] = [];
  const waiting: Question[] = [];
  async function* continuations() {
    for await (const question of questions) {
      waiting.push(question);
      for (const choice of question.choices) {
        const { file, line, context } = question;
        const where = `line ${line} of ${file}`;
        yield { ...answer(context, choice, tokenizer), where };
      }
    }
  }
  let nats: number[] = [];
  for await (
    const score of logLikelihoods(continuations(), scorer, options)
  ) {
    const question = waiting[0]!;
    nats.push(score.nats);
    if (nats.length < question.choices.length) continue;
    if (results.at(-1)?.file !== question.file) {
      results.push({ file: question.file, questions: 0, acc: 0, acc_norm: 0 });
    }
    count(results.at(-1)!, question, nats);
    waiting.shift();
    nats = [];
    options.onItems?.(1);
  }
  return results.map((result) => ({
    ...result,
    acc: result.acc / result.questions,
    acc_norm: result.acc_norm / result.questions,
  }));
}

/**
 * Read questions, one JSON object `{context, choices, label}` a line.
 *
 * @param paths `.jsonl` files.
 * @returns The questions; empty lines are skipped.
 * @throws {SyntaxError} If a line is not such an object, naming file and line, or
 * there is none.
 */
export async function* readQuestions(
  paths: readonly string[],
): AsyncGenerator<Question> {
  for (const file of paths) {
    const lines = (await readText(file)).split("\n");
    if (lines.every((line) => line.trim() === "")) {
      throw new SyntaxError(
        `Cannot read ${file}: it is empty, expected a question on every line`,
      );
    }
    for (const [i, line] of lines.entries()) {
      if (line.trim() !== "") yield parseQuestion(file, i + 1, line);
    }
  }
}

/** Accuracy on multiple-choice questions. */
export const choices: Task = {
  description: "Questions: .jsonl of {context, choices, label}",
  async count(paths) {
    let count = 0;
    for await (const _ of readQuestions(paths)) count++;
    return count;
  },
  evaluate: (paths, model, options) =>
    evaluateChoices(readQuestions(paths), model, options),
};

async function readText(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(`Cannot read ${file}: no such file`);
  }
}

function count(result: ChoicesResult, question: Question, nats: number[]) {
  const perByte = nats.map((value, i) =>
    value / new TextEncoder().encode(question.choices[i]).length
  );
  result.questions++;
  if (lowest(nats) === question.label) result.acc++;
  if (lowest(perByte) === question.label) result.acc_norm++;
}

function lowest(values: readonly number[]): number {
  return values.indexOf(Math.min(...values));
}

function answer(
  context: string,
  choice: string,
  tokenizer: Tokenizer,
): Continuation {
  const start = startId(tokenizer);
  const { ids, byteEnds } = tokenizer.encode(context + choice);
  const bytes = new TextEncoder().encode(context).length;
  const first = byteEnds.findIndex((end) => end > bytes);
  const hasStart = start !== undefined;
  const from = (first < 0 ? ids.length : first) + (hasStart ? 1 : 0);
  return {
    ids: hasStart ? Int32Array.from([start, ...ids]) : ids,
    from: Math.max(1, from),
    hasStart,
  };
}

function parseQuestion(file: string, line: number, text: string): Question {
  const fail = (what: string, cause?: unknown): never => {
    throw new SyntaxError(`Cannot read line ${line} of ${file}: ${what}`, {
      cause,
    });
  };
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(text));
  } catch (cause) {
    return fail("it is not JSON", cause);
  }
  const { context, choices, label } = value;
  if (typeof context !== "string") {
    fail(`context is ${JSON.stringify(context)}, expected a string`);
  }
  const isList = Array.isArray(choices) && choices.length > 0 &&
    choices.every((choice) => typeof choice === "string" && choice !== "");
  if (!isList) {
    fail(`choices is ${JSON.stringify(choices)}, expected non-empty strings`);
  }
  const { length } = choices as string[];
  const isIndex = Number.isInteger(label) && (label as number) >= 0 &&
    (label as number) < length;
  if (!isIndex) {
    fail(`label is ${JSON.stringify(label)}, expected 0 to ${length - 1}`);
  }
  return { ...value, file, line } as Question;
}
