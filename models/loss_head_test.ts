import assert from "node:assert/strict";
import fc from "fast-check";
import {
  crossEntropyCpu,
  klCpu,
  type LossRows,
  temperTeacher,
} from "#/kernels/losses/mod.ts";
import { type Distillation, lossHead } from "#/models/loss_head.ts";
import {
  createSession,
  encodeModel,
  type Session,
  Tape,
  type Tensor,
} from "#/onnx/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";

const V = 13;
const K = 3;

async function openHead(options: Distillation): Promise<Session> {
  const tape = new Tape();
  const row = (name: string) => tape.input(name, "float32", ["N"]);
  const entries = (name: string, type: "float32" | "int64") =>
    tape.input(name, type, ["N", K]);
  const { crossEntropy, distance, dlogits } = lossHead(
    tape.input("logits", "float32", ["N", V]),
    { labels: tape.input("labels", "int64", ["N"]), weight: row("ce_weight") },
    {
      ...options,
      ids: entries("fused_ids", "int64"),
      probs: entries("fused_probs", "float32"),
      residual: row("fused_residual"),
      weight: row("fused_weight"),
    },
  );
  tape.output(crossEntropy, "cross_entropy");
  tape.output(distance!, "distance");
  tape.output(dlogits, "dlogits");
  return await createSession(encodeModel(tape.model()));
}

function run(session: Session, rows: LossRows, temperature: number) {
  const N = rows.labels.length;
  const { fusedProbs, fusedResidual } = temperTeacher(rows, temperature);
  const real = (data: Float32Array, dims: number[]): Tensor => ({
    type: "float32",
    dims,
    data,
  });
  const int64 = (data: Int32Array, dims: number[]): Tensor => ({
    type: "int64",
    dims,
    data: BigInt64Array.from(data, BigInt),
  });
  return session.run({
    logits: real(rows.logits, [N, V]),
    labels: int64(rows.labels, [N]),
    ce_weight: real(rows.labelWeight, [N]),
    // Padding comes in as id 0 with probability 0.
    fused_ids: int64(rows.fusedIds.map((id) => Math.max(id, 0)), [N, K]),
    fused_probs: real(fusedProbs, [N, K]),
    fused_residual: real(fusedResidual, [N]),
    fused_weight: real(rows.fusedWeight, [N]),
  });
}

/** Rows of all kinds: flat and peaked models, full and padded teachers, no label. */
function lossRows(): fc.Arbitrary<LossRows> {
  const row = fc.record({
    scale: fc.constantFrom(0, 1, 5, 30),
    logits: fc.array(fc.float({ min: -1, max: 1, noNaN: true }), {
      minLength: V,
      maxLength: V,
    }),
    label: fc.integer({ min: -1, max: V - 1 }),
    ids: fc.uniqueArray(fc.integer({ min: 0, max: V - 1 }), {
      minLength: 1,
      maxLength: K,
    }),
    residual: fc.constantFrom(0, 0.01, 0.5),
    weights: fc.tuple(fc.constantFrom(0.1, 1), fc.constantFrom(0, 0.9)),
  });
  return fc.array(row, { minLength: 1, maxLength: 7 }).map((rows) => ({
    logits: Float32Array.from(
      rows.flatMap(({ logits, scale }) => logits.map((z) => z * scale)),
    ),
    labels: Int32Array.from(rows, ({ label }) => label),
    labelWeight: Float32Array.from(
      rows,
      ({ weights, label }) => label < 0 ? 0 : weights[0],
    ),
    fusedIds: Int32Array.from(
      rows.flatMap(({ ids }) => [...ids, -1, -1].slice(0, K)),
    ),
    fusedProbs: Float32Array.from(rows.flatMap(({ ids, residual }) => {
      const shares = ids.map((_, k) => (1 - residual) / 2 ** (k + 1));
      shares[0]! += (1 - residual) / 2 ** ids.length;
      return [...shares, 0, 0].slice(0, K);
    })),
    fusedResidual: Float32Array.from(rows, ({ residual }) => residual),
    fusedWeight: Float32Array.from(rows, ({ weights }) => weights[1]),
    vocabSize: V,
    topK: K,
  }));
}

const sum = (values: ArrayLike<number>, weights: ArrayLike<number>) =>
  Array.from(values).reduce((total, x, i) => total + x * weights[i]!, 0);

for (
  const [loss, reference] of [["cross-entropy", crossEntropyCpu], [
    "kl",
    klCpu,
  ]] as const
) {
  for (const temperature of [1, 2]) {
    Deno.test(`lossHead() of ${loss} matches its kernel's reference at temperature ${temperature}`, async () => {
      await using session = await openHead({ topK: K, loss, temperature });
      await fc.assert(
        fc.asyncProperty(lossRows(), async (rows) => {
          const actual = await run(session, rows, temperature);
          const expected = reference(rows, { temperature });
          // f32 softmax against f64; values reach 60 nats a row.
          const tolerance = { rtol: 1e-5, atol: 1e-5 };
          assertAllClose(
            [...actual.cross_entropy!.data, ...actual.distance!.data].map(
              Number,
            ),
            [
              sum(expected.crossEntropy, rows.labelWeight),
              sum(expected.distance, rows.fusedWeight),
            ],
            tolerance,
          );
          assertAllClose(
            actual.dlogits!.data as Float32Array,
            expected.dlogits,
            { rtol: 1e-5, atol: 2e-6 },
          );
        }),
        { numRuns: 50 },
      );
    });
  }
}

const single = (overrides: Partial<LossRows>): LossRows => ({
  logits: Float32Array.from({ length: V }, (_, i) => Math.sin(3 * i)),
  labels: Int32Array.of(-100),
  labelWeight: Float32Array.of(0),
  fusedIds: Int32Array.of(2, 5, 0),
  fusedProbs: Float32Array.of(0.5, 0.25, 0),
  fusedResidual: Float32Array.of(0.25),
  fusedWeight: Float32Array.of(1),
  vocabSize: V,
  topK: K,
  ...overrides,
});

Deno.test("lossHead() has no gradient where the model equals the teacher", async () => {
  await using session = await openHead({ topK: K, loss: "kl", temperature: 1 });
  const rows = single({});
  const spread = rows.logits.map((z) => Math.exp(z));
  const total = spread.reduce((a, b) => a + b);
  const probs = [2, 5].map((id) => spread[id]! / total);
  rows.fusedProbs = Float32Array.of(...probs, 0);
  rows.fusedResidual = Float32Array.of(1 - probs[0]! - probs[1]!);
  const { distance, dlogits } = await run(session, rows, 1);
  const zeros = new Float32Array(V + 1);
  // One f32 rounding of each probability.
  assertAllClose(
    [...distance!.data, ...dlogits!.data].map(Number),
    zeros,
    { rtol: 0, atol: 3e-7 },
  );
});

Deno.test("lossHead() takes nothing from a row without weight, whatever it holds", async () => {
  await using session = await openHead({ topK: K, loss: "kl", temperature: 2 });
  const { loss: _, ...outputs } = await run(
    session,
    single({
      fusedWeight: Float32Array.of(0),
      fusedProbs: Float32Array.of(NaN, NaN, NaN),
      fusedResidual: Float32Array.of(NaN),
    }),
    1,
  ) as Record<string, Tensor>;
  for (const { data } of Object.values(outputs)) {
    assert.ok([...data].every((value) => Number(value) === 0));
  }
});

Deno.test("lossHead() stays finite where the model leaves the tail nothing", async () => {
  await using session = await openHead({
    topK: K,
    loss: "cross-entropy",
    temperature: 1,
  });
  const logits = new Float32Array(V).fill(-500);
  logits[2] = 500;
  const { distance, dlogits } = await run(session, single({ logits }), 1);
  assert.ok(Number.isFinite(distance!.data[0]));
  assert.ok([...dlogits!.data].every((value) => Math.abs(Number(value)) <= 1));
});

Deno.test("lossHead() sees a tail far below the rounding of 1", async () => {
  await using session = await openHead({ topK: K, loss: "kl", temperature: 1 });
  // Tokens 2 and 5 hold all but e^-40 of the probability.
  const logits = Float32Array.from(
    { length: V },
    (_, id) => id === 2 || id === 5 ? 40 : Math.sin(id),
  );
  const rows = single({ logits, fusedIds: Int32Array.of(2, 5, -1) });
  const { distance, dlogits } = await run(session, rows, 1);
  const expected = klCpu(rows);
  assertAllClose(
    [...distance!.data, ...dlogits!.data].map(Number),
    [...expected.distance, ...expected.dlogits],
    { rtol: 1e-5, atol: 1e-6 },
  );
});

Deno.test("lossHead() bounds the value of a row that gives its tokens nothing, not its gradient", async () => {
  await using session = await openHead({ topK: K, loss: "kl", temperature: 1 });
  const logits = new Float32Array(V).fill(-500);
  logits[7] = 500;
  const rows = single({
    logits,
    labels: Int32Array.of(3),
    labelWeight: Float32Array.of(1),
    fusedWeight: Float32Array.of(0),
  });
  const { cross_entropy, dlogits } = await run(session, rows, 1);
  assertAllClose([Number(cross_entropy!.data[0])], [36 * Math.LN10], {
    rtol: 1e-4,
    atol: 0,
  });
  const expected = klCpu(rows).dlogits;
  assertAllClose(dlogits!.data as Float32Array, expected, {
    rtol: 1e-6,
    atol: 1e-6,
  });
});
