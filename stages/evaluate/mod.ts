/**
 * Evaluate: bits per byte and perplexity of text, accuracy on multiple choice.
 *
 * @module
 */
export {
  type EvaluatedDocument,
  evaluateText,
  type TextResult,
} from "./tasks/text.ts";
export {
  type ChoicesResult,
  evaluateChoices,
  type Question,
} from "./tasks/choices.ts";
export type { EvaluatedModel, EvaluateOptions } from "./tasks/task.ts";
