import assert from "node:assert/strict";
import { CostTable } from "#/stages/align/cost_table.ts";

Deno.test("CostTable.row() tells all costs, of whatever it has no room for, too", () => {
  let computed = 0;
  const cost = (sourceId: number, targetId: number) => {
    computed++;
    return (sourceId * 31 + targetId * 17) % 101 + 1;
  };
  const size = 5000;
  const table = new CostTable({ sourceSize: size, targetSize: size }, cost);
  const targetIds = Array.from({ length: size }, (_, k) => size - 1 - k);
  const into = new Float32Array(size);
  // More source tokens than rows, more target tokens than columns.
  for (let sourceId = 0; sourceId < size; sourceId += 2) {
    const some = targetIds.filter((id) => id % 97 === sourceId % 97);
    table.select(some, some.length);
    table.row(sourceId, into, 0, Infinity);
    some.forEach((id, j) =>
      assert.equal(into[j], (sourceId * 31 + id * 17) % 101 + 1)
    );
  }
  table.select(targetIds, size);
  table.row(0, into, 0, Infinity);
  computed = 0;
  table.row(0, into, 0, Infinity);
  targetIds.forEach((id, j) => assert.equal(into[j], id * 17 % 101 + 1));
  assert.ok(computed > 0 && computed < size);
});
