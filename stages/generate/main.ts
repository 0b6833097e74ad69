import { join } from "node:path";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { float, integer, string } from "@optique/core/valueparser";
import { openGenerator, resolveModel } from "#/models/mod.ts";
import {
  type Command,
  defineCommand,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { modelFlags } from "#/stages/model_flags.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { generate, type GenerateModel } from "./generate.ts";

interface Flags {
  model: string;
  prompt: string;
  maxNewTokens: number;
  temperature: number;
  topP: number;
  seed: number;
  device: "auto" | "cpu" | "cuda" | "webgpu";
  dtype: "f32" | "f16" | "bf16";
}

/** `pta generate`. */
export const command: Command = defineCommand(
  "generate",
  "Continue a text",
  object("Generate", {
    ...modelFlags,
    prompt: option("--prompt", string({ metavar: "TEXT" }), {
      description: message`What to continue; empty to start from BOS`,
    }),
    maxNewTokens: withDefault(
      option("--max-new-tokens", integer({ min: 0 }), {
        description:
          message`Tokens at most; it ends earlier before EOS or where the context is full`,
      }),
      128,
    ),
    temperature: withDefault(
      option("--temperature", float({ min: 0 }), {
        description:
          message`0 takes the most likely token, 1 draws as the model says`,
      }),
      0,
    ),
    topP: withDefault(
      option("--top-p", float({ min: 0, max: 1 }), {
        description:
          message`Draw from the likeliest tokens that hold this much mass`,
      }),
      1,
    ),
    seed: withDefault(
      option("--seed", integer({ min: 0 }), {
        description: message`Seed of the draws`,
      }),
      0,
    ),
  }),
  run,
);

async function run(flags: Flags): Promise<Report> {
  const directory = await resolveModel(flags.model);
  const tokenizer = await loadTokenizer(directory);
  const endIds = await readEndIds(directory);
  const generator = await openGenerator(directory, flags);
  const lines: object[] = [];
  const model = { tokenizer, generator, endIds };
  return { stream: write(flags, model, lines), text: "", lines };
}

async function* write(
  flags: Flags,
  model: GenerateModel,
  lines: object[],
): AsyncGenerator<string> {
  const { prompt } = flags;
  const start = performance.now();
  const result = { prompt, continuation: "", tokens: 0, seconds: 0 };
  try {
    yield prompt;
    for await (const { id, text } of generate(prompt, model, flags)) {
      yield text;
      result.continuation += text;
      if (id >= 0) result.tokens++;
    }
  } finally {
    await model.generator.close();
  }
  result.seconds = Math.round(performance.now() - start) / 1000;
  lines.push(result);
}

/** What config.json and generation_config.json call EOS: one id or several. */
async function readEndIds(directory: string): Promise<number[]> {
  const ids: number[] = [];
  for (const name of ["config.json", "generation_config.json"]) {
    const text = await Deno.readTextFile(join(directory, name))
      .catch((error) => {
        if (error instanceof Deno.errors.NotFound) return "{}";
        throw error;
      });
    ids.push(...[JSON.parse(text).eos_token_id ?? []].flat());
  }
  return ids;
}

if (import.meta.main) await runCommand(command);
