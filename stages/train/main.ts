import { merge, object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map, optional, withDefault } from "@optique/core/modifiers";
import { flag, option } from "@optique/core/primitives";
import { choice, float, integer, string } from "@optique/core/valueparser";
import { losses, type Projection, residuals } from "#/kernels/losses/mod.ts";
import { resolveModel } from "#/models/mod.ts";
import {
  type Command,
  defineCommand,
  list,
  type Report,
  runCommand,
} from "#/stages/command.ts";
import { datasets, readRows } from "#/shards/mod.ts";
import { Progress } from "#/stages/progress.ts";
import { referenceFlag, switchesOf } from "#/stages/reference_switches.ts";
import { fusions } from "#/stages/train/fusions/mod.ts";
import { lmWeightSchedules } from "#/stages/train/lm_weight.ts";
import { lossHomes } from "#/stages/train/passes.ts";
import { schedules } from "#/stages/train/schedule.ts";
import {
  matchedTokens,
  type ModelSource,
  openModel,
  openTrainingData,
  readProjection,
  train,
  trainDefaults,
  trainDefects,
  type TrainingData,
  type TrainMetrics,
} from "#/stages/train/train.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

const directory = string({ metavar: "DIR" });
const path = string({ metavar: "PATH" });
const whole = integer({ min: 1, metavar: "N" });
const number = float({ metavar: "X" });

/** The keys of a table, as the values of a flag. */
const namesOf = <Name extends string>(table: Record<Name, unknown>) =>
  choice(Object.keys(table) as Name[]);

const input = object("Input and output", {
  model: optional(option("--model", directory, {
    description: message`Model to train: a directory or a hub id`,
  })),
  fromScratch: optional(option("--from-scratch", {
    description: message`Draw new weights for the model`,
  })),
  config: optional(option("--config", string({ metavar: "FILE" }), {
    description: message`In place of --model: config.json of a new model`,
  })),
  tokenizer: optional(option("--tokenizer", directory, {
    description: message`Directory of the tokenizer, if not the model's`,
  })),
  data: list(option("--data", path, {
    description:
      message`Packed datasets, text datasets, or .txt, .jsonl, .parquet files`,
  })),
  validation: list(
    option("--validation", path, { description: message`Held-out data` }),
    0,
  ),
  length: optional(option("--length", integer({ min: 2, metavar: "N" }), {
    description: message`Positions of a row made of text (default: 512)`,
  })),
  out: option("--out", directory, {
    description: message`Where metrics, checkpoints and the model go`,
  }),
  resume: withDefault(
    option("--resume", { description: message`Go on where --out ends` }),
    false,
  ),
});

const learning = object("Learning", {
  lmWeight: withDefault(
    option("--lm-weight", number, {
      description: message`How much of a taught row its label keeps`,
    }),
    trainDefaults.lmWeight,
  ),
  lmWeightSchedule: withDefault(
    option("--lm-weight-schedule", namesOf(lmWeightSchedules), {
      description:
        message`The same throughout, rising to 1 at the end, or by how well the teachers know a row's label`,
    }),
    trainDefaults.lmWeightSchedule,
  ),
  fusion: withDefault(
    option("--fusion", namesOf(fusions), {
      description: message`How several teachers become one`,
    }),
    trainDefaults.fusion,
  ),
  fusionTemperature: withDefault(
    option("--fusion-temperature", number, {
      description:
        message`The difference in bits that makes a teacher e times heavier, where they are mixed`,
    }),
    trainDefaults.fusionTemperature,
  ),
  loss: withDefault(
    option("--loss", namesOf(losses), {
      description: message`Distance to the fused distribution`,
    }),
    trainDefaults.loss,
  ),
  residual: withDefault(
    option("--residual", namesOf(residuals), {
      description:
        message`The mass outside a teacher's top-k: one outcome, an even share for every other token, left out on both sides, or zero`,
    }),
    trainDefaults.residual,
  ),
  vocabMapping: list(
    option("--vocab-mapping", directory, {
      description:
        message`Vocabulary mappings of the sources, which gold and h-kl ask for; for p-kl one with the model as --source and the teacher as --target`,
    }),
    0,
  ),
  beta: withDefault(
    option("--beta", number, {
      description:
        message`The teacher's part in the mixture of generalized-js and gold`,
    }),
    trainDefaults.beta,
  ),
  lossOn: withDefault(
    option("--loss-on", namesOf({ auto: 0, ...lossHomes }), {
      description:
        message`Where the loss is computed; auto is the training graph where it holds the loss, else webgpu, else cpu`,
    }),
    trainDefaults.lossOn,
  ),
  temperature: withDefault(
    option("--temperature", number, {
      description: message`Temperature of both sides of the distance`,
    }),
    trainDefaults.temperature,
  ),
  reference: referenceFlag(trainDefects),
  teachers: list(
    option("--teachers", string({ metavar: "NAME,NAME" }), {
      description:
        message`Who teaches: target, and sources as pack names them (default: all)`,
    }),
    0,
  ),
});

const optimizing = object("Optimization", {
  steps: optional(option("--steps", whole, { description: message`Updates` })),
  epochs: withDefault(
    option("--epochs", number, {
      description: message`Times over the data, where --steps says nothing`,
    }),
    trainDefaults.epochs,
  ),
  batchSize: withDefault(
    option("--batch-size", whole, {
      description: message`Rows of one forward pass`,
    }),
    trainDefaults.batchSize,
  ),
  accumulate: withDefault(
    option("--accumulate", whole, {
      description: message`Forward passes of one update`,
    }),
    trainDefaults.accumulate,
  ),
  learningRate: withDefault(
    option("--learning-rate", number, { description: message`Its peak` }),
    trainDefaults.learningRate,
  ),
  beta1: withDefault(
    option("--beta1", number, { description: message`AdamW's β1` }),
    trainDefaults.beta1,
  ),
  beta2: withDefault(
    option("--beta2", number, { description: message`AdamW's β2` }),
    trainDefaults.beta2,
  ),
  epsilon: withDefault(
    option("--epsilon", number, { description: message`AdamW's ε` }),
    trainDefaults.epsilon,
  ),
  weightDecay: withDefault(
    option("--weight-decay", number, {
      description: message`Decay of matrices that are no embeddings`,
    }),
    trainDefaults.weightDecay,
  ),
  maxGradNorm: withDefault(
    option("--max-grad-norm", number, {
      description: message`Longer gradients are scaled to it`,
    }),
    trainDefaults.maxGradNorm,
  ),
  warmupRatio: withDefault(
    option("--warmup-ratio", number, {
      description: message`Share of the updates that warm up`,
    }),
    trainDefaults.warmupRatio,
  ),
  schedule: withDefault(
    option("--schedule", namesOf(schedules), {
      description: message`How the learning rate falls`,
    }),
    trainDefaults.schedule,
  ),
  seed: withDefault(
    option("--seed", integer({ metavar: "N" }), {
      description: message`Of the data's order and of new weights`,
    }),
    trainDefaults.seed,
  ),
});

const keeping = object("Logging, saving, computing", {
  logEvery: withDefault(
    option("--log-every", whole, {
      description: message`Updates between two lines of metrics`,
    }),
    trainDefaults.logEvery,
  ),
  evalEvery: withDefault(
    option("--eval-every", integer({ min: 0, metavar: "N" }), {
      description: message`Updates between two validations; 0 is at the end`,
    }),
    trainDefaults.evalEvery,
  ),
  saveEvery: withDefault(
    option("--save-every", integer({ min: 0, metavar: "N" }), {
      description: message`Updates between two checkpoints; 0 is none`,
    }),
    trainDefaults.saveEvery,
  ),
  keep: withDefault(
    option("--keep", whole, { description: message`Checkpoints that stay` }),
    trainDefaults.keep,
  ),
  dtype: withDefault(
    option("--dtype", choice(["f32", "bf16", "f16"]), {
      description: message`Type of the trained weights on disk`,
    }),
    trainDefaults.dtype,
  ),
  recompute: withDefault(
    or(
      map(
        flag("--recompute", {
          description: message`Less memory, more time: go block by block`,
        }),
        () => true,
      ),
      map(
        flag("--no-recompute", {
          description:
            message`Go through the whole model at once, though it may not fit`,
        }),
        () => false,
      ),
    ),
    trainDefaults.recompute,
  ),
  memory: optional(
    option("--memory", float({ metavar: "GB" }), {
      description:
        message`What the process may take before it recomputes (default: what is free)`,
    }),
  ),
  threads: optional(option("--threads", whole, {
    description: message`Threads (default: one a core)`,
  })),
});

const flags = merge(input, learning, optimizing, keeping);

/** `pta train`: a model and data → a trained model. */
export const command: Command = defineCommand(
  "train",
  "Train a model, on fused distributions or as a plain language model",
  flags,
  trainModel,
);

type Flags = typeof flags extends { $valueType: readonly (infer Value)[] }
  ? Value
  : never;

/** Positions of a row made of text, where the context is not shorter. */
const DEFAULT_LENGTH = 512;

async function trainModel(flags: Flags): Promise<Report> {
  const model = await openModel({
    ...flags,
    model: flags.model && await resolveModel(flags.model),
  });
  const length = flags.length ?? Math.min(DEFAULT_LENGTH, model.contextLength);
  const tokenizer = await loadTokenizer(model.tokenizer);
  const read = (paths: readonly string[], split: "train" | "validation") =>
    openTrainingData(paths, { tokenizer, length, split });
  using data = await read(flags.data, "train");
  using validation = flags.validation.length > 0
    ? await read(flags.validation, "validation")
    : undefined;

  const teachers = flags.teachers.flatMap((names) =>
    names.split(",").map((name) => name.trim())
  );
  const plan = {
    ...flags,
    ...{ model, data, validation },
    matched: await readMatched(flags, model),
    projection: await readProjections(flags, model, data, teachers),
    teachers: teachers.length > 0 ? teachers : undefined,
    defects: switchesOf(trainDefects, flags.reference),
  };
  let last: TrainMetrics | undefined;
  for await (const metrics of withProgress(train(plan))) last = metrics;
  return report(flags.out, model, last);
}

/** Which tokens the sources know, where the loss asks for it. */
async function readMatched(
  { loss, vocabMapping }: Flags,
  { vocabSize }: ModelSource,
): Promise<Uint32Array<ArrayBuffer> | undefined> {
  const { matches } = losses[loss];
  if (!matches || vocabMapping.length === 0) return undefined;
  const mappings = vocabMapping.map((mapping) =>
    readRows(mapping, datasets.vocabMappings)
  );
  return await matchedTokens(mappings, vocabSize, matches);
}

/** How the model's tokens are written in the teacher's vocabulary, where the loss asks for it. */
async function readProjections(
  { loss, vocabMapping }: Flags,
  model: ModelSource,
  { sourceTokens = {} }: TrainingData,
  teachers: readonly string[],
): Promise<Projection | undefined> {
  if (!losses[loss].projects || vocabMapping.length === 0) return undefined;
  if (vocabMapping.length > 1) {
    throw new RangeError(
      `Cannot train: loss is ${loss} with ${vocabMapping.length} vocabulary ` +
        "mappings, expected one, of the model's tokens to the teacher's",
    );
  }
  const teacher = teachers.length === 1
    ? sourceTokens[teachers[0]!]
    : undefined;
  return await readProjection(vocabMapping[0]!, model, teacher);
}

async function* withProgress(
  run: AsyncIterable<TrainMetrics>,
): AsyncGenerator<TrainMetrics> {
  let progress: Progress | undefined;
  try {
    for await (const metrics of run) {
      const { step, steps, loss, tokensPerSecond } = metrics;
      progress ??= new Progress("train", steps - step + 1, "steps");
      const { validationBitsPerByte: bits } = metrics;
      const held = bits === undefined ? "" : `, ${bits.toFixed(3)} bits/byte`;
      const speed = `${Math.round(tokensPerSecond)} tokens/s`;
      progress.advance(1, `| loss ${loss.toFixed(4)}, ${speed}${held}`);
      yield metrics;
    }
  } finally {
    progress?.[Symbol.dispose]();
  }
}

function report(
  out: string,
  { modelType }: ModelSource,
  last: TrainMetrics | undefined,
): Report {
  if (!last) {
    return {
      text: `${out}: complete already`,
      lines: [{ out, skipped: true }],
    };
  }
  const { step, loss, tokens, seconds, validationBitsPerByte } = last;
  const held = validationBitsPerByte === undefined
    ? ""
    : `, ${validationBitsPerByte.toFixed(4)} bits per byte held out`;
  return {
    text: `${out}: ${modelType} after ${step} steps and ${tokens} tokens in ` +
      `${Math.round(seconds)} s, loss ${loss.toFixed(4)}${held}`,
    lines: [{
      out,
      steps: step,
      loss,
      tokens,
      seconds,
      validation_loss: last.validationLoss,
      validation_bits_per_byte: validationBitsPerByte,
      skipped: false,
    }],
  };
}

if (import.meta.main) await runCommand(command);
