import { basename, dirname, resolve } from "node:path";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, float, integer, string } from "@optique/core/valueparser";
import { sinkhornDefaults } from "#/kernels/mod.ts";
import { openScorer, resolveModel } from "#/models/mod.ts";
import { type CostName, costs } from "#/stages/align/costs/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { modelFlags } from "#/stages/model_flags.ts";
import { Progress } from "#/stages/progress.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";
import { inspect, type InspectModel } from "./inspect.ts";
import { page } from "./page/page.ts";

interface Flags {
  target: string;
  source: readonly string[];
  prompt: string | undefined;
  text: string | undefined;
  out: string;
  topK: number;
  epsilon: number;
  tau: number;
  cost: CostName;
  device: "auto" | "cpu" | "cuda" | "webgpu";
  dtype: "f32" | "f16" | "bf16";
}

const directory = string({ metavar: "DIR" });
const { device, dtype } = modelFlags;

/** `pta inspect`: models and a text → a page that walks it. */
export const command: Command = defineCommand(
  "inspect",
  "Write an HTML page that walks a text: tokens, pairs, costs, plans, methods",
  object("Inspect", {
    target: option("--target", directory, {
      description: message`Directory of the target model`,
    }),
    source: list(option("--source", directory, {
      description: message`Directories of source models`,
    })),
    prompt: optional(option("--prompt", string({ metavar: "TEXT" }), {
      description: message`The text itself`,
    })),
    text: optional(option("--text", string({ metavar: "FILE" }), {
      description: message`In place of --prompt: a file that holds it`,
    })),
    out: option("--out", string({ metavar: "FILE" }), {
      description: message`The page, one .html file that needs nothing else`,
    }),
    topK: withDefault(
      option("--top-k", integer({ min: 1 }), {
        description: message`Candidates of every model that take part`,
      }),
      10,
    ),
    epsilon: withDefault(
      option("--epsilon", float({ min: 0 }), {
        description: message`Entropic regularization, in edits`,
      }),
      sinkhornDefaults.epsilon,
    ),
    tau: withDefault(
      option("--tau", float({ min: 0, allowInfinity: true }), {
        description:
          message`Price of leaving the target's distribution, in edits`,
      }),
      sinkhornDefaults.tau,
    ),
    cost: withDefault(
      option("--cost", choice(Object.keys(costs) as CostName[]), {
        description: message`What it costs to move mass between tokens`,
      }),
      "byte-edit-distance",
    ),
    device,
    dtype,
  }),
  run,
);

async function run(flags: Flags): Promise<Report> {
  const { out, topK, epsilon, tau, cost } = flags;
  const text = await textOf(flags);
  const directories = [flags.target, ...flags.source];
  const models: InspectModel[] = [];
  using progress = new Progress("inspect", directories.length + 1, "steps");
  try {
    for (const directory of directories) {
      models.push(await openModel(directory, flags));
      progress.advance(1, directory);
    }
    const [target, ...sources] = models;
    const inspection = await inspect(text, target!, sources, {
      ...{ topK, cost },
      sinkhorn: { epsilon, tau },
    });
    await Deno.mkdir(dirname(resolve(out)), { recursive: true });
    await Deno.writeTextFile(out, page(inspection));
    progress.advance(1, out);
    const { bytes, cut } = inspection;
    const pairs = inspection.sources.map(({ pairs }) => pairs.length);
    const left = cut > 0 ? `; ${cut} more do not fit the models` : "";
    return {
      text: `${out}: ${bytes} bytes, ${pairs.join(" + ")} position pairs` +
        left,
      lines: [{ stage: "inspect", out, bytes, cut, pairs }],
    };
  } finally {
    for (const { scorer } of models) await scorer.close();
  }
}

async function textOf({ prompt, text }: Flags): Promise<string> {
  if ((prompt === undefined) === (text === undefined)) {
    throw new SyntaxError(
      `Cannot inspect: there is ${
        prompt === undefined ? "no" : "a"
      } --prompt ` +
        `and ${text === undefined ? "no" : "a"} --text, expected one of them`,
    );
  }
  const found = prompt ?? await Deno.readTextFile(text!);
  if (found !== "") return found;
  throw new RangeError(
    `Cannot inspect ${text ?? "the prompt"}: it is empty, expected a text`,
  );
}

async function openModel(
  name: string,
  { device, dtype }: Flags,
): Promise<InspectModel> {
  const directory = await resolveModel(name);
  return {
    name: basename(resolve(name)),
    tokenizer: await loadTokenizer(directory),
    scorer: await openScorer(directory, { device, dtype }),
  };
}

if (import.meta.main) await runCommand(command);
