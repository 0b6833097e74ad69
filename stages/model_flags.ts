import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";

/** Flags that name a model and say how to run it. */
export const modelFlags = {
  model: option("--model", string({ metavar: "DIR" }), {
    description: message`Model directory, or a name on the hub (org/name)`,
  }),
  device: withDefault(
    option("--device", choice(["auto", "cpu", "cuda", "webgpu"]), {
      description: message`Where the model runs`,
    }),
    "auto",
  ),
  dtype: withDefault(
    option("--dtype", choice(["f32", "f16", "bf16"]), {
      description:
        message`What to compute in; the CPU only rounds the weights to it`,
    }),
    "f32",
  ),
} as const;

/** The flag that bounds a batch. */
export const batchTokensFlag = {
  batchTokens: withDefault(
    option("--batch-tokens", integer({ min: 1 }), {
      description: message`Positions of a batch at most, padding included`,
    }),
    2048,
  ),
} as const;

/** The flag that says in how many workers a model runs. */
export const scorerWorkersFlag = {
  workers: optional(option("--workers", integer({ min: 1 }), {
    description:
      message`Workers that run the model, sharing the cores (default: 2 on the CPU, else 1)`,
  })),
} as const;
