import assert from "node:assert/strict";
import {
  describeModel,
  expectedWeights,
  initialWeights,
  trainingModel,
} from "#/models/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { lively, TINY_CONFIGS } from "#/tests/tiny_models.ts";

Deno.test("initialWeights() gives what the config implies, the same for a seed", () => {
  const config = TINY_CONFIGS["gpt_neox, sequential, no attention bias, tied"];
  const weights = initialWeights(config, 5);
  assert.deepEqual(
    [...weights].map(([name, { shape }]) => [name, shape]),
    expectedWeights(config).map(({ name, shape }) => [name, shape]),
  );
  assert.deepEqual(initialWeights(config, 5), weights);
  const name = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight";
  assert.notDeepEqual(initialWeights(config, 6).get(name), weights.get(name));
  const { data } = weights.get(name)!;
  const deviation = Math.sqrt(
    data.reduce((sum, x) => sum + x * x, 0) / data.length,
  );
  // 1,872 draws: the deviation itself deviates by 1.6 %.
  assertAllClose([deviation], [0.02], { rtol: 0.1, atol: 0 });
  assert.ok(
    weights.get("gpt_neox.final_layer_norm.weight")!.data.every((x) => x === 1),
  );
});

const refusals: [string, Record<string, unknown>, RegExp][] = [
  [
    "an unknown model_type",
    { model_type: "rwkv" },
    /model_type in config.json is "rwkv", expected one of llama, /,
  ],
  [
    "no model_type",
    { model_type: undefined },
    /model_type in config.json is absent/,
  ],
  [
    "yarn",
    { rope_scaling: { type: "yarn", factor: 2 } },
    /rope_scaling.type in config.json is "yarn", expected one of default, linear/,
  ],
  [
    "an unknown activation",
    { hidden_act: "mish" },
    /hidden_act in config.json is "mish"/,
  ],
  [
    "uneven key heads",
    { num_key_value_heads: 4 },
    /num_key_value_heads in config.json is 4, expected a divisor of 6/,
  ],
  [
    "a size that is none",
    { hidden_size: "20" },
    /hidden_size in config.json is "20", expected a positive integer/,
  ],
];
for (const [what, change, message] of refusals) {
  Deno.test(`describeModel() refuses ${what}, naming the field`, () => {
    const config = { ...TINY_CONFIGS["llama, grouped queries"], ...change };
    assert.throws(() => describeModel(config), message);
  });
}

Deno.test("describeModel() refuses qk_ln of MPT, naming the field", () => {
  const config = { ...TINY_CONFIGS.mpt, attn_config: { qk_ln: true } };
  assert.throws(
    () => describeModel(config),
    /attn_config.qk_ln in config.json is true, expected none or false/,
  );
});

Deno.test("trainingModel() names weights that are missing, misshapen or left over", () => {
  const config = TINY_CONFIGS["llama, grouped queries"];
  const weights = lively(config);
  const name = "model.layers.1.mlp.up_proj.weight";
  const build = (change: (map: typeof weights) => void) => () => {
    const changed = new Map(weights);
    change(changed);
    trainingModel(config, changed);
  };
  assert.throws(
    build((map) => map.delete(name)),
    /weight model.layers.1.mlp.up_proj.weight is missing, expected \[28, 20\]/,
  );
  const data = new Float32Array(1);
  assert.throws(
    build((map) => map.set(name, { shape: [20, 28], data })),
    /weight model.layers.1.mlp.up_proj.weight is \[20, 28\], expected \[28, 20\]/,
  );
  assert.throws(
    build((map) =>
      map.set("model.layers.2.mlp.up_proj.weight", { shape: [1], data })
    ),
    /config.json implies no weight model.layers.2.mlp.up_proj.weight,/,
  );
});
