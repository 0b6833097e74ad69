import assert from "node:assert/strict";
import { join } from "node:path";
import { hashInput } from "#/shards/mod.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

Deno.test("hashInput() of a dataset is that of its manifest without the seconds", () =>
  inTemporaryDirectory(async (directory) => {
    const path = join(directory, "manifest.json");
    const manifest = { stage: "split", options: { a: 1, b: 2 }, seconds: 1 };
    const hashOf = async (content: object) => {
      await Deno.writeTextFile(path, JSON.stringify(content));
      return await hashInput(directory);
    };
    const hash = await hashOf(manifest);
    assert.equal(await hashOf({ ...manifest, seconds: 9 }), hash);
    assert.equal(await hashOf({ ...manifest, options: { b: 2, a: 1 } }), hash);
    assert.notEqual(await hashOf({ ...manifest, options: { a: 2 } }), hash);
  }));

Deno.test("hashInput() of files depends on names and contents, not on the place", () =>
  inTemporaryDirectory(async (directory) => {
    for (const [folder, text] of [["a", "x"], ["b", "x"], ["c", "y"]]) {
      await Deno.mkdir(join(directory, folder!));
      await Deno.writeTextFile(join(directory, folder!, "file.txt"), text!);
    }
    const [a, b, c] = await Promise.all(
      ["a", "b", "c"].map((folder) => hashInput(join(directory, folder))),
    );
    assert.equal(a, b);
    assert.notEqual(a, c);
    assert.notEqual(
      await hashInput([join(directory, "a"), join(directory, "c")]),
      await hashInput([join(directory, "c"), join(directory, "a")]),
    );
  }));

Deno.test("hashInput() of a model sees its weights, and nothing a README says", () =>
  inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(join(directory, "config.json"), "{}");
    const weights = join(directory, "model.safetensors");
    // Sparse: above 64 MiB, where only samples are read.
    await Deno.writeFile(weights, Uint8Array.of(1));
    await Deno.truncate(weights, 65 * 2 ** 20);
    const hash = await hashInput(directory);
    await Deno.writeTextFile(join(directory, "README.md"), "hello");
    assert.equal(await hashInput(directory), hash);
    await Deno.writeFile(weights, Uint8Array.of(2));
    await Deno.truncate(weights, 65 * 2 ** 20);
    assert.notEqual(await hashInput(directory), hash);
  }));

Deno.test("hashInput() throws if there is no such path", async () => {
  await assert.rejects(hashInput("no/such/path"), {
    message: "Cannot read no/such/path: no such file or directory",
  });
});
