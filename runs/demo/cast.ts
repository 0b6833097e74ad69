import type { Cast } from "./capture.ts";

/**
 * The demo's models, trained by `pta run demo-models`: a Llama that knows a
 * novel, a GPT-2 that knows speeches and an MPT that knows code.
 */
export const cast: Cast = {
  target: model("target"),
  sources: { speeches: model("speeches"), code: model("code") },
};

function model(name: string): string {
  return new URL(`./models/${name}`, import.meta.url).pathname;
}
