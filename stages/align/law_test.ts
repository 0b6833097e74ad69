import assert from "node:assert/strict";
import fc from "fast-check";
import { requestDevice, sinkhorn, sinkhornScaling } from "#/kernels/mod.ts";
import type { AlignedRow, RepresentationRow } from "#/shards/mod.ts";
import { align, type AlignOptions } from "#/stages/align/align.ts";
import { type CostName, costs } from "#/stages/align/costs/mod.ts";
import {
  type AlignMethod,
  type AlignMethodName,
  methods,
} from "#/stages/align/methods/mod.ts";
import { withDefects } from "#/stages/align/reference/mod.ts";
import { mapVocab } from "#/stages/map_vocab/map_vocab.ts";
import { type Candidates, representation } from "#/tests/representations.ts";
import { tinyTokenizer } from "#/tests/tiny_tokenizer.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

const device = await requestDevice();
const names = Object.keys(methods) as AlignMethodName[];

/** Every method that is to obey the law, under every cost that it heeds. */
const corrected = names.flatMap((method): AlignOptions[] => {
  const facts: AlignMethod = methods[method];
  if (!facts.corrected) return [];
  if (!facts.settings.includes("cost")) return [{ method }];
  return (Object.keys(costs) as CostName[]).map((cost) => ({ method, cost }));
});

/** Two spellings of `a`, a hole, a special token without a role, near misses. */
const same = tinyTokenizer(
  [
    ...["<s>", "</s>", "<unk>", "<|mark|>", "", "<0x61>"],
    ...["a", "b", "▁", "▁a", "▁b", "ab", "ba", "▁ab", "▁ba", "aba"],
    ...["bab", "▁aba", "▁bab", "abab", "baba", "▁▁", "é", "中", "aé"],
  ],
  { special: { bos: 0, eos: 1, unk: 2 }, specialIds: [3], prefixSpace: true },
);
const sayable = same.tokens.map((_, id) => id)
  .filter((id) => same.tokens[id] !== "");
const embeddings = {
  values: Float32Array.from(same.tokens.flatMap((_, id) => [
    Math.sin(id),
    Math.cos(3 * id),
    Math.sin(7 * id + 1),
  ])),
  width: 3,
};
const text = "ab aba é ba中 b";
const topK = 7;

/**
 * A distribution that leaves some mass out, peaked by `power`. At least 2 % of
 * it: to a target that is sure of its top k the source's tokens are as good as
 * impossible, and mass leaks to those it likes.
 */
function distribution(random: () => number, power: number): Candidates {
  const ids = [...sayable].sort(() => random() - 0.5).slice(0, topK);
  const weights = ids.map(() => random() ** power + 1e-4);
  const sum = weights.reduce((total, w) => total + w, 0) *
    (1.02 + random() * 0.3);
  return ids.map((id, k) => [id, Math.log(weights[k]! / sum)] as const);
}

/** Labels that are not among the top k are less probable than those. */
function labelled(row: RepresentationRow): RepresentationRow {
  const { topkIds, topkLogprobs, inputIds } = row;
  const labelLogprobs = row.labelLogprobs.map((_, t) => {
    const stored = topkLogprobs.subarray(t * topK, (t + 1) * topK);
    const rank = topkIds.subarray(t * topK, (t + 1) * topK)
      .indexOf(inputIds[t + 1] ?? -1);
    return stored[rank] ?? Math.min(...stored) - 1;
  });
  return { ...row, labelLogprobs: labelLogprobs.fill(NaN, -1) };
}

const modelPairs = fc.record({
  seed: fc.integer(),
  sourcePower: fc.constantFrom(1, 5, 40),
  targetPower: fc.constantFrom(1, 5, 40),
}).map(({ seed, sourcePower, targetPower }) => {
  const random = mulberry32(seed);
  const row = (power: number) =>
    labelled(
      representation(same, text, () => distribution(random, power), topK),
    );
  return { source: row(sourcePower), target: row(targetPower) };
});

/** What two models say of one text. */
interface Models {
  source: RepresentationRow;
  target: RepresentationRow;
}

async function alignOne(
  { source, target }: Models,
  options: AlignOptions,
): Promise<AlignedRow> {
  const rows = align({
    targetRows: [target],
    sourceRows: [source],
    target: same,
    source: same,
    mapping: mapVocab(same, same),
  }, { embeddings, ...options });
  for await (const row of rows) return row;
  throw new RangeError("align() returned no row");
}

function massesAt(
  { topkIds, topkLogprobs }: Pick<AlignedRow, "topkIds" | "topkLogprobs">,
  t: number,
): Map<number, number> {
  const masses = new Map<number, number>();
  for (let k = t * topK; k < (t + 1) * topK; k++) {
    if (topkIds[k]! >= 0) masses.set(topkIds[k]!, topkLogprobs[k]!);
  }
  return masses;
}

/** What comes out is what the source says, at every labelled row. */
function assertSourceComesOut(
  aligned: AlignedRow,
  { source, target }: Models,
): void {
  const labelled = source.inputIds.length - 1;
  for (let t = 0; t < labelled; t++) {
    assert.equal(aligned.weight[t], 1);
    assertSourceAt(aligned, { source, target }, t);
  }
  assert.equal(aligned.weight[labelled], 0);
}

function assertSourceAt(
  aligned: AlignedRow,
  { source, target }: Models,
  t: number,
): void {
  const actual = massesAt(aligned, t);
  const expected = massesAt(source, t);
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  const leaks = relativeLeaks(expected, massesAt(target, t));
  for (const [id, logprob] of expected) {
    const ulp = 2 ** (Math.floor(Math.log2(Math.abs(logprob))) - 10);
    const error = Math.abs(actual.get(id)! - logprob);
    // One ulp of f16, and what transport may leak.
    assert.ok(
      error <= ulp + leaks.get(id)!,
      `${actual.get(id)} for ${logprob}, ${leaks.get(id)}`,
    );
  }
}

/**
 * How much of a candidate's mass transport may lose or double, at most.
 *
 * With τ = ε, u = exp(f / ε) and v = exp(g / ε): v = √(b / L), L = Σ u K, and
 * K ≤ κ = e^−30 but for the exact image. Hence u_i ≤ a_i² / b_i = U_i and v_i ≤
 * b_i / a_i: i gains at most κ ΣU v_i, and loses to j, as L_j ≥ u_i K_ij, at most
 * √(b_j κ U_i). Twice that, for what the first order leaves out.
 */
function relativeLeaks(
  source: ReadonlyMap<number, number>,
  target: ReadonlyMap<number, number>,
): Map<number, number> {
  const kappa = Math.exp(-30);
  const sum = (logprobs: Iterable<number>) =>
    [...logprobs].reduce((total, x) => total + Math.exp(x), 0);
  const share = Math.max(
    (1 - sum(target.values())) / (same.vocabSize - target.size),
    1e-9,
  );
  const columns = new Set([...source.keys(), ...target.keys()]);
  const q = (id: number) => {
    const logprob = target.get(id);
    return logprob === undefined ? share : Math.max(Math.exp(logprob), 1e-9);
  };
  const total = [...columns].reduce((all, id) => all + q(id), 0);
  const [mass, b] = [sum(source.values()), (id: number) => q(id) / total];
  const a = (id: number) => Math.exp(source.get(id)!) / mass;
  const U = (id: number) => a(id) ** 2 / b(id);
  const allU = [...source.keys()].reduce((all, id) => all + U(id), 0);
  return new Map([...source.keys()].map((id) => {
    const gain = kappa * allU * b(id) / a(id);
    const loss = [...columns].reduce(
      (all, j) => j === id ? all : all + Math.sqrt(b(j) * kappa * U(id)),
      0,
    );
    return [id, 2 * (gain + loss) / a(id)];
  }));
}

for (const options of corrected) {
  const method = Object.values(options).join(" and ");
  Deno.test(`align() by ${method} returns the source if tokenizers are the same`, async () => {
    await fc.assert(
      fc.asyncProperty(modelPairs, async (models) => {
        const aligned = await alignOne(models, options);
        assertSourceComesOut(aligned, models);
      }),
      { numRuns: 40 },
    );
  });

  Deno.test(`align() by ${method} does not depend on the order of the top k`, async () => {
    await fc.assert(
      fc.asyncProperty(modelPairs, fc.integer(), async (models, seed) => {
        const random = mulberry32(seed);
        const shuffled = {
          source: shuffle(models.source, random),
          target: shuffle(models.target, random),
        };
        const actual = await alignOne(shuffled, options);
        const expected = await alignOne(models, options);
        assert.deepEqual(actual.topkIds, expected.topkIds);
        actual.topkLogprobs.forEach((logprob, k) => {
          // Sums in another order, and a stopping rule met an iteration apart.
          const other = expected.topkLogprobs[k]!;
          assert.ok(logprob === other || Math.abs(logprob - other) < 1e-4);
        });
      }),
      { numRuns: 20 },
    );
  });

  Deno.test(`align() by ${method} keeps mass: what is missing is the residual`, async () => {
    await fc.assert(
      fc.asyncProperty(modelPairs, async (models) => {
        const aligned = await alignOne(models, options);
        for (let t = 0; t < aligned.weight.length - 1; t++) {
          const sum = (row: Map<number, number>) =>
            [...row.values()].reduce((total, x) => total + Math.exp(x), 0);
          const mass = sum(massesAt(aligned, t));
          assert.ok(mass <= 1 + 1e-3);
          // f16 logprobs of the source, f32 here.
          assert.ok(Math.abs(mass - sum(massesAt(models.source, t))) < 1e-4);
        }
      }),
      { numRuns: 20 },
    );
  });
}

for (const method of names) {
  if (methods[method].corrected) continue;
  Deno.test(`align() by ${method} does not return the source: the law is no triviality`, async () => {
    await fc.assert(
      fc.asyncProperty(modelPairs, async (models) => {
        const aligned = await alignOne(models, { method });
        const taught = [...aligned.weight.keys()]
          .filter((t) => aligned.weight[t]! > 0);
        assert.ok(taught.length > 3);
        for (const t of taught) {
          assert.throws(() => assertSourceAt(aligned, models, t));
        }
      }),
      { numRuns: 10 },
    );
  });
}

Deno.test("align() by balanced transport returns the target instead", async () => {
  const source = representation(same, text, () => [[6, -0.1], [7, -3]], 2);
  const target = representation(same, text, () => [[7, -0.1], [6, -3]], 2);
  const { topkIds } = await alignOne({ source, target }, {
    method: "balanced",
    topK: 2,
  });
  assert.equal(topkIds[0], 7);
});

Deno.test("align() by balanced transport has converged", async () => {
  await fc.assert(
    fc.asyncProperty(modelPairs, async (models) => {
      const { marginalError } = await alignOne(models, { method: "balanced" });
      // Asked for is 1e-5; the last in a thousand problems stops at 20000.
      assert.ok(marginalError.every((error) => error < 1e-3));
    }),
    { numRuns: 20, seed: 1 },
  );
});

Deno.test("align() by reference-ot without its defects returns the source again", async () => {
  const [models] = fc.sample(modelPairs, { numRuns: 1, seed: 1 });
  const aligned = await alignOne(models!, {
    method: "reference-ot",
    defects: withDefects([]),
  });
  for (const [id, logprob] of massesAt(models!.source, 3)) {
    // Rows are solved to 1e-5.
    assert.ok(Math.abs(massesAt(aligned, 3).get(id)! - logprob) < 1e-3);
  }
});

Deno.test({
  name: "align() by optimal-transport is the same on WebGPU and on the CPU",
  ignore: !device,
  async fn() {
    const random = mulberry32(3);
    const models = {
      source: representation(same, text, () => distribution(random, 5), topK),
      target: representation(same, text, () => distribution(random, 5), topK),
    };
    const onDevice = await alignOne(models, {
      solve: (problems, options) => sinkhorn(device!, problems, options),
    });
    assertSourceComesOut(onDevice, models);
    const onCpu = await alignOne(models, {
      solve: (problems, options) =>
        Promise.resolve(sinkhornScaling(problems, options)),
    });
    assert.deepEqual(onDevice.topkIds, onCpu.topkIds);
    device!.destroy();
  },
});

function shuffle(
  row: RepresentationRow,
  random: () => number,
): RepresentationRow {
  const topkIds = row.topkIds.slice();
  const topkLogprobs = row.topkLogprobs.slice();
  for (let first = 0; first < topkIds.length; first += topK) {
    const order = Array.from({ length: topK }, (_, k) => first + k)
      .sort(() => random() - 0.5);
    order.forEach((from, k) => {
      topkIds[first + k] = row.topkIds[from]!;
      topkLogprobs[first + k] = row.topkLogprobs[from]!;
    });
  }
  return { ...row, topkIds, topkLogprobs };
}
