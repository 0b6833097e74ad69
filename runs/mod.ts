/**
 * Whole experiments: each a TypeScript file that calls the stages in order.
 *
 * @module
 */

import { command } from "@optique/core/primitives";
import { text } from "@optique/core/message";
import { command as ablation } from "#/runs/ablation.ts";
import { command as demo } from "#/runs/demo.ts";
import { command as demoModels } from "#/runs/demo_models.ts";
import { command as demoResults } from "#/runs/demo_results.ts";
import { command as demoSettings } from "#/runs/demo_settings.ts";
import { anyOf, type Command } from "#/stages/command.ts";

/** The experiments by name; to add one, add its file and a line here. */
const runs: readonly Command[] = [
  demo,
  demoModels,
  demoSettings,
  demoResults,
  ablation,
];

/** `pta run NAME`. */
export const run: Command = command("run", anyOf(runs), {
  brief: [text("Run a whole experiment by name")],
}) as Command;
