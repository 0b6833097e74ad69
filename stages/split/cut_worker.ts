/**
 * Cuts texts for a {@linkcode CutPool}.
 *
 * @module
 */
import { serve } from "#/stages/rpc.ts";
import { loadTokenizer, type Tokenizer } from "#/tokenizers/mod.ts";
import { cutDocument } from "./cut_document.ts";
import type { CutSetup } from "./cut_pool.ts";
import type { Block } from "./cut_text.ts";

let setup: CutSetup;
const tokenizers: Tokenizer[] = [];

const offered = {
  /** Loads the tokenizers. */
  async open(wanted: CutSetup): Promise<void> {
    setup = wanted;
    // One after another: what is read of each is large, and swept soon.
    for (const directory of setup.directories) {
      tokenizers.push(await loadTokenizer(directory));
    }
  },
  /** See {@linkcode cutDocument}. */
  cut(text: string): Promise<Block[]> {
    return Promise.resolve(cutDocument(text, tokenizers, setup));
  },
};

/** What the worker answers. */
export type CutMethods = typeof offered;

serve(offered);
