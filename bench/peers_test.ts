import assert from "node:assert/strict";
import { PythonPeer } from "#/bench/python_peer.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

const GOLDEN = new URL("../../shared/golden/reference/", import.meta.url);

// deno-lint-ignore no-explicit-any
type Case = any;

function golden(name: string): Case[] | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(new URL(name, GOLDEN))).cases;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const peer = await PythonPeer.open("reference.py");
await peer?.[Symbol.asyncDispose]();

/** A test against golden data, where there are both. */
function goldenTest(
  name: string,
  file: string,
  check: (peer: PythonPeer, cases: Case[]) => Promise<void>,
): void {
  const cases = golden(file);
  const missing = !peer ? "python3 with numpy" : cases ? "" : "shared/golden";
  Deno.test({
    name: name + (missing && ` (skipped: ${missing} absent)`),
    ignore: missing !== "",
    async fn() {
      await using peer = await PythonPeer.open("reference.py");
      await check(peer!, cases!);
    },
  });
}

goldenTest(
  "the peer's warp() is the published one",
  "dtw.json",
  async (peer, cases) => {
    // Without a compiled edit distance, a second each.
    for (const each of cases.filter((_, index) => index % 8 === 0)) {
      const { result } = await peer.call("warp", {
        source: each.blending_tokens,
        target: each.base_tokens,
        markers: [each.blending_special, each.base_special],
      });
      assert.deepEqual(result, [
        each.matches,
        each.distance,
        each.blending_to_base,
        each.base_to_blending,
      ], each.label);
    }
  },
);

goldenTest(
  "the peer's sinkhorn() is the published one",
  "sinkhorn.json",
  async (peer, cases) => {
    const problems = cases.map((each) => [
      ...[each.M, each.r, each.c, each.lam, each.epsilon],
    ]);
    const { result } = await peer.call<[(number | null)[], number][]>(
      "sinkhorn",
      { problems },
    );
    result.forEach(([values, sweeps], index) => {
      const { label, P, dist, iterations } = cases[index];
      assert.equal(sweeps, iterations, label);
      const expected = [...P.flat(), dist];
      const isNumber = (value: number | null) => value !== null;
      assert.deepEqual(values.map(isNumber), expected.map(isNumber), label);
      // Another numpy may round exp otherwise, which sweeps carry on.
      assertAllClose(values.map(Number), expected.map(Number), {
        rtol: 1e-9,
        atol: 1e-300,
      });
    });
  },
);

goldenTest(
  "the peer's transform is the published one",
  "transform_step_logits.json",
  async (peer, cases) => {
    for (const [index, each] of cases.entries()) {
      const name = String(index);
      await peer.call("openTransform", {
        name,
        target_tokens: byId(each.base_vocab),
        source_tokens: byId(each.blending_vocab),
        markers: [each.base_special, each.blending_special],
        mapping: each.blending_to_base_mapping,
      });
      const target = steps(each, "base");
      const source = steps(each, "blending");
      for (const method of ["hard", "soft", "ot"]) {
        const { result } = await peer.call<[number[], number[]][]>(
          "transform",
          { name, target, source, method, threshold: each.epsilon_input },
        );
        const expected = each[method === "ot" ? "soft_ot" : method];
        assert.deepEqual(result.map(([ids]) => ids), expected.indices, method);
        // As above.
        assertAllClose(
          result.flatMap(([_, values]) => values),
          expected.logits.flat(),
          { rtol: 1e-9, atol: 1e-300 },
        );
      }
    }
  },
);

goldenTest(
  "the peer's nearest tokens are the published ones",
  "vocab_mapping.json",
  async (peer, cases) => {
    // Every token takes a pass over the vocabulary.
    const some = cases.filter((_, index) => index % 16 === 0);
    const { tokens } = await loadTokenizer(await realTokenizer("llama2"));
    const { result } = await peer.call<[string, string[], number][]>(
      "nearest",
      {
        tokens: some.map(({ token }) => token),
        target_tokens: tokens.filter((token) => token !== ""),
        source_marker: "Ġ",
        target_marker: "▁",
      },
    );
    result.forEach(([spelling, nearest, distance], index) => {
      const expected = some[index];
      assert.deepEqual(
        [spelling, nearest[0], distance],
        [expected.mapped_key, expected.best, expected.distance],
      );
      if (expected.all_best) assert.deepEqual(nearest, expected.all_best);
    });
  },
);

function byId(vocab: Record<string, number>): string[] {
  const size = Math.max(...Object.values(vocab)) + 1;
  const tokens = new Array<string>(size).fill("");
  for (const [token, id] of Object.entries(vocab)) tokens[id] = token;
  return tokens;
}

function steps(each: Case, side: "base" | "blending") {
  return {
    ids: each[`${side}_input_ids`],
    topk_ids: each[`${side}_per_step_indices`],
    topk_logits: each[`${side}_per_step_logits`],
  };
}
