import assert from "node:assert/strict";
import { join } from "node:path";
import {
  type AblationResults,
  markdown,
  writeTables,
} from "#/runs/ablation/report.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const student = (seed: number, novel: number) => ({
  seed,
  bits_per_byte: { novel },
  tokens: 1000,
  seconds: 10 + seed,
});

const results: AblationResults = {
  before: { demo: { novel: 2.5 }, bytes: { novel: 3 } },
  groups: {
    methods: [{
      name: "plain",
      steps: 7,
      students: [student(0, 2), student(1, 2.25)],
    }],
    "target: bytes": [{
      name: "taught",
      steps: 8,
      teachers: { taught: 0.125, bits_per_byte: { novel: 1.5 } },
      students: [student(0, 1)],
    }],
  },
};

Deno.test("markdown() gives means, spreads and the target before", () => {
  assert.equal(
    markdown(results),
    `### Alignment methods

| student | taught | teachers, novel | novel           | steps | tokens | seconds |
| ------- | ------ | --------------- | --------------- | ----- | ------ | ------- |
| before  | –      | –               | 2.5000          | –     | –      | –       |
| plain   | –      | –               | 2.1250 (0.2500) | 7     | 1000   | 11      |

### target: bytes

| student | taught | teachers, novel | novel  | steps | tokens | seconds |
| ------- | ------ | --------------- | ------ | ----- | ------ | ------- |
| before  | –      | –               | 3.0000 | –     | –      | –       |
| taught  | 12.5 % | 1.500           | 1.0000 | 8     | 1000   | 10      |`,
  );
});

Deno.test("writeTables() replaces the tables and leaves the rest", () =>
  inTemporaryDirectory(async (directory) => {
    const file = join(directory, "results.md");
    await Deno.writeTextFile(file, await Deno.readTextFile("docs/results.md"));
    await writeTables(file, "TABLE A");
    const once = await Deno.readTextFile(file);
    await writeTables(file, "TABLE B");
    const twice = await Deno.readTextFile(file);
    assert.match(twice, /-->\n\nTABLE B\n\n<!--/);
    assert.equal(twice.replace("TABLE B", "TABLE A"), once);
    await Deno.writeTextFile(file, "# No marks");
    await assert.rejects(writeTables(file, "TABLE C"), /lacks a mark/);
  }));
