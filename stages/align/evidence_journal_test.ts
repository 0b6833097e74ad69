import assert from "node:assert/strict";
import { EVIDENCE_COUNTS } from "#/stages/align/evidence.ts";
import { EvidenceJournal } from "#/stages/align/evidence_journal.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { mulberry32 } from "#/tests/transport_problems.ts";

const random = mulberry32(5);
const rows = Array.from(
  { length: 11 },
  () => Float64Array.from({ length: EVIDENCE_COUNTS }, random),
);

function write(path: string, first: number, end: number): Float64Array {
  using journal = new EvidenceJournal(path, first);
  for (const counts of rows.slice(first, end)) journal.add(counts);
  return journal.counts;
}

Deno.test("EvidenceJournal goes on behind the rows that are there, as if it had never ended", async () => {
  await inTemporaryDirectory((root) => {
    const expected = write(`${root}/whole`, 0, 11);
    // Seven rows are told of, but five of them are in complete shards.
    write(`${root}/cut`, 0, 7);
    assert.deepEqual(write(`${root}/cut`, 5, 11), expected);
    // All are there, and only the manifest is missing.
    assert.deepEqual(write(`${root}/cut`, 11, 11), expected);
    return Promise.resolve();
  });
});

Deno.test("EvidenceJournal knows nothing of rows that it was not told of", async () => {
  await inTemporaryDirectory((root) => {
    const counts = write(`${root}/late`, 10, 11);
    assert.deepEqual(counts, rows[10]);
    return Promise.resolve();
  });
});
