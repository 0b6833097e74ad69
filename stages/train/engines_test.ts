import assert from "node:assert/strict";
import { tilesFor } from "#/models/mod.ts";
import { openFitting, openTiled, openWhole } from "#/stages/train/engines.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  int64,
  lively,
  real,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

const config = {
  ...TINY_CONFIGS["llama, grouped queries"],
  num_hidden_layers: 6,
};
const weights = lively(config);

/** Weights and a batch, two documents and more a row, with labels only. */
function feedsOf(batch: number, length: number) {
  const dims = [batch, length];
  const rows = (f: (t: number) => number) =>
    int64(dims, Array.from({ length: batch * length }, (_, t) => f(t)));
  return {
    ...weightTensors(weights),
    input_ids: rows((t) => t * t % 37),
    position: rows((t) => t % Math.min(64, length)),
    document: rows((t) => Math.floor(t % length / 200)),
    labels: rows((t) => 3 * t % 37),
    ce_weight: real(dims, () => 1 / (batch * length)),
  };
}

/** Gradients by an engine on a machine with so much memory, and what it said. */
async function gradients(free: number | undefined, accumulates = false) {
  const said: string[] = [];
  const engine = await openFitting(config, weights, { accumulates }, {
    free: () => free,
    say: (text) => Promise.resolve(void said.push(text)),
  });
  const fetches = Object.fromEntries(
    engine.weightNames.map((name) => [
      `grad.${name}`,
      real(weights.get(name)!.shape, () => NaN),
    ]),
  );
  const feeds = feedsOf(8, 40);
  for (let run = 0; run < 2; run++) await engine.run(feeds, fetches);
  await engine.close();
  return { fetches, said };
}

Deno.test("openFitting() goes block by block where the whole does not fit, and says so once", async () => {
  const whole = await gradients(undefined);
  const roomy = await gradients(1e9);
  const tight = await gradients(1e3);
  const less = await gradients(6e6);
  const adding = await gradients(1e3, true);
  assert.deepEqual([...whole.said, ...roomy.said], []);
  assert.equal(tight.said.length, 1);
  assert.match(tight.said[0]!, /block by block.* beyond 16 features a block$/m);
  assert.match(adding.said[0]!, /block by block.* beyond 0 features a block$/m);
  assert.match(
    less.said[0]!,
    /block by block.* beyond \d{3} features a block$/m,
  );
  for (const [name, { data }] of Object.entries(whole.fetches)) {
    assert.deepEqual(roomy.fetches[name]!.data, data);
    for (const { fetches } of [tight, less]) {
      // The same f32 operations; the order of sums may differ.
      assertAllClose(
        fetches[name]!.data as Float32Array,
        data as Float32Array,
        { rtol: 1e-5, atol: 1e-6 },
      );
    }
  }
});

Deno.test("openTiled() gives the gradients of the untiled graph at any length", async () => {
  const options = { threads: 1 };
  const tiled = await openTiled(openWhole, config, weights, options);
  const whole = await openWhole(config, weights, options);
  for (const length of [3, 515]) {
    const feeds = feedsOf(1, length);
    const [actual, expected] = await Promise.all(
      [tiled, whole].map((engine) =>
        engine.run(
          feeds,
          Object.fromEntries(engine.weightNames.map((name) => [
            `grad.${name}`,
            real(weights.get(name)!.shape, () => NaN),
          ])),
        )
      ),
    );
    for (const [key, { data }] of Object.entries(expected!)) {
      // Sums of 515 f32 terms in another order.
      assertAllClose(
        actual![key]!.data as Float32Array,
        data as Float32Array,
        { rtol: 1e-4, atol: 1e-6 },
      );
    }
  }
  assert.equal(tilesFor(515), 4);
  await Promise.all([tiled.close(), whole.close()]);
});
