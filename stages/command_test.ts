import assert from "node:assert/strict";
import { option } from "@optique/core/primitives";
import { object } from "@optique/core/constructs";
import { string } from "@optique/core/valueparser";
import { call, defineCommand, list } from "#/stages/command.ts";

const read = defineCommand(
  "read",
  "Read files",
  object({ text: list(option("--text", string())) }),
  ({ text }) => Promise.resolve({ text: text.join(), lines: [] }),
);

Deno.test("list() takes values after one flag or after several", async () => {
  const { text } = await call(read, ["read", "--text", "a", "b", "--text=c"]);
  assert.equal(text, "a,b,c");
});

Deno.test("list() names the flag that is missing", async () => {
  await assert.rejects(call(read, ["read"]), /Missing option .*--text/);
});

Deno.test("runCommand() prints an error once, with its cause", async () => {
  const script = `
    import { object } from "@optique/core/constructs";
    import { defineCommand, runCommand } from "#/stages/command.ts";
    const fail = defineCommand("fail", "Fail", object({}), () => {
      const cause = new Error("the disk is full");
      const message = Deno.args.at(-1);
      return Promise.reject(new Error(message, { cause }));
    });
    await runCommand(fail, ["fail"]);`;
  const stderrOf = async (message: string) => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "-q", "--ext=ts", script, "--", message],
      cwd: new URL("..", import.meta.url),
      env: { PTA_DEBUG: "" },
    }).output();
    assert.equal(code, 1);
    return new TextDecoder().decode(stderr);
  };
  assert.equal(
    await stderrOf("Cannot write a.txt"),
    "error: Cannot write a.txt: the disk is full\n",
  );
  assert.equal(
    await stderrOf("Cannot write a.txt: the disk is full"),
    "error: Cannot write a.txt: the disk is full\n",
  );
});
