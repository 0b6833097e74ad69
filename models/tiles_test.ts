import assert from "node:assert/strict";
import fc from "fast-check";
import {
  openBlockwise,
  tilesFor,
  tileSizes,
  trainingModel,
} from "#/models/mod.ts";
import { createSession, type Tensor } from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import {
  int64,
  lively,
  real,
  TINY_CONFIGS,
  weightTensors,
} from "#/tests/tiny_models.ts";

Deno.test("tilesFor() leaves no tile empty, and short sequences in one", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1 << 20 }), (length) => {
    const { tile, rest } = tileSizes(length, tilesFor(length));
    assert.ok(rest > 0 && rest <= tile);
  }));
  assert.equal(tilesFor(256), 1);
});

const LENGTH = 11;
const DIMS = [2, LENGTH];
const entries = Array.from({ length: 2 * LENGTH }, (_, i) => i % LENGTH);
/** One row of two documents and padding, one of a single document. */
const BATCH = {
  input_ids: int64(DIMS, entries.map((t) => (t * t + 5) % 37)),
  position: int64(
    DIMS,
    entries.map((t, i) => i < LENGTH && t >= 5 ? t - 5 : t),
  ),
  document: int64(
    DIMS,
    entries.map((t, i) => i >= LENGTH ? 0 : t < 5 ? 0 : t < 9 ? 1 : -1),
  ),
  labels: int64(DIMS, entries.map((t) => (t * 3 + 1) % 37)),
  ce_weight: real(DIMS, (i) => 0.05 + 0.01 * (i % 3)),
};

for (
  const [name, config] of Object.entries<Record<string, unknown>>(TINY_CONFIGS)
) {
  Deno.test(`trainingModel() and openBlockwise() of ${name} give the same in tiles`, async () => {
    const weights = lively(config);
    const feeds = { ...weightTensors(weights), ...BATCH };
    const expected = await runWhole(config, feeds, 1);
    // Tiles of 4, 4 and 3.
    const tiled = await runWhole(config, feeds, 3);
    const options = { tiles: 3, threads: 1 };
    await using parts = await openBlockwise(config, weights, options);
    const fetches = Object.fromEntries(
      parts.weightNames.map((name) => [
        `grad.${name}`,
        real(weights.get(name)!.shape, () => NaN),
      ]),
    );
    const byBlock = await parts.run(feeds, fetches);
    for (const actual of [tiled, byBlock]) {
      for (const [key, { data }] of Object.entries(expected)) {
        // f32 sums over other numbers of masked keys, in another order.
        assertAllClose(
          actual[key]!.data as Float32Array,
          data as Float32Array,
          { rtol: 1e-5, atol: 1e-6 },
        );
      }
    }
  });
}

async function runWhole(
  config: Record<string, unknown>,
  feeds: Record<string, Tensor>,
  tiles: number,
) {
  const { bytes } = trainingModel(config, lively(config), { tiles });
  await using session = await createSession(bytes, { threads: 1 });
  return await session.run(feeds);
}
