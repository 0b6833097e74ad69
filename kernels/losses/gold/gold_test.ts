import assert from "node:assert/strict";
import fc from "fast-check";
import {
  generalizedJsCpu,
  goldCpu,
  hKlCpu,
  klCpu,
  uldCpu,
} from "#/kernels/losses/mod.ts";
import { assertAllClose } from "#/tests/allclose.ts";
import { lossRows } from "#/tests/loss_rows.ts";

const exact = { rtol: 1e-9, atol: 1e-12 };

Deno.test("goldCpu() is the divergence where all tokens match, uldCpu() where none does", () => {
  fc.assert(
    fc.property(lossRows(), (rows) => {
      const { vocabSize } = rows;
      const all = new Uint32Array(vocabSize).fill(1);
      const none = new Uint32Array(vocabSize);
      const options = { residual: "spread", beta: 0.3 } as const;
      assertAllClose(
        goldCpu({ ...rows, matched: all }, options).dlogits,
        generalizedJsCpu(rows, options).dlogits,
        exact,
      );
      assertAllClose(
        goldCpu({ ...rows, matched: none }, options).dlogits,
        uldCpu(rows, options).dlogits,
        exact,
      );
      assertAllClose(
        hKlCpu({ ...rows, matched: all }, options).dlogits,
        klCpu(rows, options).dlogits,
        exact,
      );
    }),
    { numRuns: 20 },
  );
});

Deno.test("goldCpu() throws without a word on what matches", () => {
  fc.assert(
    fc.property(lossRows(), ({ matched: _, ...rows }) => {
      assert.throws(
        () => goldCpu(rows),
        /Cannot compute gold: matched has 0 entries/,
      );
    }),
    { numRuns: 1 },
  );
});
