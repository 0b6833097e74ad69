/**
 * The worker a model is trained in: it holds weights, optimizer and sessions,
 * whose runs block their thread.
 *
 * @module
 */

import { serve } from "#/stages/rpc.ts";
import { Trainer, type TrainerSetup } from "#/stages/train/trainer.ts";

let trainer: Trainer | undefined;

const methods = {
  open: async (setup: TrainerSetup) => {
    trainer = await Trainer.open(setup);
  },
  update: (...args: Parameters<Trainer["update"]>) => trainer!.update(...args),
  score: (...args: Parameters<Trainer["score"]>) => trainer!.score(...args),
  saveModel: (...args: Parameters<Trainer["saveModel"]>) =>
    trainer!.saveModel(...args),
  saveOptimizer: (...args: Parameters<Trainer["saveOptimizer"]>) =>
    trainer!.saveOptimizer(...args),
  close: async () => await trainer?.[Symbol.asyncDispose](),
};

/** What the worker answers. */
export type TrainerMethods = typeof methods;

serve(methods);
