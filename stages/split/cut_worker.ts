/**
 * Cuts texts for a {@linkcode CutPool}: the first message is the setup, every
 * further one a text, answered by its blocks.
 *
 * @module
 */
import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";
import type { CutAnswer, CutSetup } from "./cut_pool.ts";
import { cutDocument } from "./cut_document.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<CutSetup | string>) => void) | null;
  postMessage(answer: CutAnswer): void;
}

const scope = self as unknown as WorkerScope;
let setup: CutSetup;
let tokenizers: Promise<Tokenizer[]> | undefined;

scope.onmessage = async ({ data }) => {
  if (typeof data !== "string") {
    setup = data;
    return;
  }
  try {
    tokenizers ??= Promise.all(setup.directories.map(loadTokenizer));
    const blocks = cutDocument(data, await tokenizers, setup);
    scope.postMessage({ blocks });
  } catch (error) {
    scope.postMessage({
      error: error instanceof Error ? error.message : String(error),
    });
  }
};
