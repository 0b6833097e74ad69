import assert from "node:assert/strict";
import { SpellingRelation, type WordMarker } from "./spelling_relation.ts";
import type { AlignedStep, StepLogits } from "./step_logits.ts";
import { transformStepLogits } from "./transform_step_logits.ts";
import { transformStepLogitsOt } from "./transform_step_logits_ot.ts";

interface Rows {
  logits: number[][];
  indices: number[][];
}

interface Case {
  base_vocab: Record<string, number>;
  blending_vocab: Record<string, number>;
  base_special: WordMarker;
  blending_special: WordMarker;
  blending_to_base_mapping: Record<string, string>;
  base_input_ids: number[];
  blending_input_ids: number[];
  base_per_step_logits: number[][];
  base_per_step_indices: number[][];
  blending_per_step_logits: number[][];
  blending_per_step_indices: number[][];
  epsilon_input: number;
  logits_number: number;
  hard: Rows;
  soft: Rows;
  soft_ot: Rows;
  sinkhorn_calls: number;
}

const golden = new URL(
  "../../../../shared/golden/reference/transform_step_logits.json",
  import.meta.url,
);
const cases: Case[] | undefined = await Deno.readTextFile(golden)
  .then((text) => JSON.parse(text).cases, () => undefined);
const without = cases ? "" : " (skipped: shared/golden absent)";

/** A case's vocabulary, by id. */
function vocabulary(vocab: Record<string, number>, marker: WordMarker) {
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(vocab)) tokens[id] = token;
  return { tokens, tokenBytes: [], marker };
}

function inputs(each: Case): [StepLogits, StepLogits, SpellingRelation] {
  const relation = new SpellingRelation(
    vocabulary(each.base_vocab, each.base_special),
    vocabulary(each.blending_vocab, each.blending_special),
    new Map(Object.entries(each.blending_to_base_mapping)),
  );
  return [
    {
      inputIds: each.base_input_ids,
      byteEnds: new Int32Array(0),
      topK: 10,
      topkIds: each.base_per_step_indices.flat(),
      topkLogits: each.base_per_step_logits.flat(),
    },
    {
      inputIds: each.blending_input_ids,
      byteEnds: new Int32Array(0),
      topK: 10,
      topkIds: each.blending_per_step_indices.flat(),
      topkLogits: each.blending_per_step_logits.flat(),
    },
    relation,
  ];
}

function assertRows(steps: AlignedStep[], { logits, indices }: Rows): void {
  assert.deepEqual(steps.map(({ ids }) => ids), indices);
  // To the bit.
  assert.deepEqual(steps.map(({ values }) => values), logits);
}

Deno.test({
  name: "transformStepLogits() gives FuseLLM's rows, hard and soft" + without,
  ignore: !cases,
  fn() {
    for (const each of cases!) {
      assertRows(
        transformStepLogits(...inputs(each), { soft: false }),
        each.hard,
      );
      assertRows(
        transformStepLogits(...inputs(each), { soft: true }),
        each.soft,
      );
    }
  },
});

Deno.test({
  name: "transformStepLogitsOt() gives PTA-LLM's rows" + without,
  ignore: !cases,
  fn() {
    for (const each of cases!) {
      const steps = transformStepLogitsOt(...inputs(each), {
        topK: each.logits_number,
        threshold: each.epsilon_input,
      });
      assertRows(steps, each.soft_ot);
      const transported = steps.filter(({ kind }) => kind === "masses");
      assert.equal(transported.length, each.sinkhorn_calls);
    }
  },
});
