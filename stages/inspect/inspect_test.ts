import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { DOMParser } from "linkedom";
import { call } from "#/stages/command.ts";
import type { Inspection, Share } from "#/stages/inspect/inspection.ts";
import { command } from "#/stages/inspect/main.ts";
import { dumpDom, findChromium, INSTALL_CHROMIUM } from "#/tests/chromium.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";

const models = fileURLToPath(
  new URL("../../runs/demo/models/", import.meta.url),
);
const PROMPT = 'if (whale) {\n  swim("—</script>"); // the sea\n}';
const chromium = await findChromium();
const hint = chromium ? "" : ` (skipped: no browser; ${INSTALL_CHROMIUM})`;
const made = makePage();

async function makePage(): Promise<string> {
  const out = await Deno.makeTempFile({ suffix: ".html" });
  try {
    await call(command, [
      ...["inspect", "--target", join(models, "target")],
      ...["--source", join(models, "speeches"), join(models, "code")],
      ...["--prompt", PROMPT, "--out", out],
    ]);
    return await Deno.readTextFile(out);
  } finally {
    await Deno.remove(out);
  }
}

const parse = (html: string) =>
  new DOMParser().parseFromString(html, "text/html");

function embedded(html: string): Inspection {
  const document = parse(html);
  return JSON.parse(document.getElementById("inspection")!.textContent!);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mass = (top: readonly Share[]) => sum(top.map(([, p]) => p));
/** Ten numbers and more of four decimals each. */
const ROUNDING = 2e-3;

Deno.test("pta inspect embeds both readings of every byte", async () => {
  const { text, bytes, cut, target, sources } = embedded(await made);
  assert.equal(text, PROMPT);
  assert.equal(bytes, new TextEncoder().encode(PROMPT).length);
  assert.equal(cut, 0);
  assert.deepEqual(sources.map(({ name }) => name), ["speeches", "code"]);
  for (const { tokens, rows, spellings, bitsPerByte } of [target, ...sources]) {
    assert.equal(rows.length, tokens.length);
    assert.equal(tokens.at(-1)!.end, bytes);
    tokens.forEach(({ start }, t) =>
      assert.equal(start, tokens[t - 1]?.end ?? 0)
    );
    assert.ok(bitsPerByte > 0);
    for (const { top } of rows) {
      assert.ok(mass(top) <= 1 + ROUNDING);
      for (const [id] of top) assert.ok(spellings[id]);
    }
  }
});

Deno.test("pta inspect embeds pairs at equal offsets and all methods' word", async () => {
  const { methods, target, sources } = embedded(await made);
  assert.ok(methods.some(({ name }) => name === "optimal-transport"));
  for (const source of sources) {
    assert.ok(source.pairs.length > 5);
    for (const pair of source.pairs) {
      assert.equal(target.tokens[pair.target]!.end, pair.offset);
      assert.equal(source.tokens[pair.source]!.end, pair.offset);
      assert.equal(pair.rewritten.length, methods.length);
      for (const { top } of pair.rewritten) {
        assert.ok(mass(top) <= 1 + ROUNDING);
        for (const [id] of top) assert.ok(target.spellings[id]);
      }
    }
  }
});

Deno.test("pta inspect embeds transport whose plan moves what was given", async () => {
  const { methods, sources } = embedded(await made);
  const method = methods.findIndex(({ name }) => name === "optimal-transport");
  for (const source of sources) {
    for (const { rewritten, source: row } of source.pairs) {
      const { transport, top, lost } = rewritten[method]!;
      const { sourceIds, targetIds, a, cost, plan } = transport!;
      assert.equal(cost.length, sourceIds.length * targetIds.length);
      a.forEach((given, i) => {
        const moved = plan.slice(i * targetIds.length).slice(
          0,
          targetIds.length,
        );
        assert.ok(Math.abs(sum(moved) - given) < ROUNDING);
      });
      const given = mass(source.rows[row]!.top);
      assert.ok(Math.abs(mass(top) + lost - given) < ROUNDING);
    }
  }
});

Deno.test("pta inspect writes a page that needs nothing else", async () => {
  const html = await made;
  const document = parse(html);
  assert.equal(document.querySelectorAll("script").length, 2);
  for (const selector of ["link", "img", "iframe", "script[src]"]) {
    assert.equal(document.querySelector(selector), null, selector);
  }
  assert.doesNotMatch(html, /https?:|@import|url\(|fetch\(|import\(/);
  assert.match(html, /default-src 'none'/);
});

Deno.test("pta inspect takes a text or a file, not both and not none", async () => {
  const run = (...more: string[]) =>
    call(command, [
      ...["inspect", "--target", join(models, "target")],
      ...["--source", join(models, "code"), "--out", "x.html", ...more],
    ]);
  await assert.rejects(run(), /there is no --prompt and no --text/);
  await assert.rejects(
    run("--prompt", "a", "--text", "b"),
    /there is a --prompt and a --text/,
  );
  await assert.rejects(run("--prompt", ""), /it is empty, expected a text/);
});

Deno.test("pta inspect shows of a text what the models' contexts hold, and says so", async () => {
  await inTemporaryDirectory(async (directory) => {
    const [text, out] = ["a.txt", "a.html"].map((name) =>
      join(directory, name)
    );
    await Deno.writeTextFile(text!, "the sea was calm. ".repeat(150));
    const { text: said } = await call(command, [
      ...["inspect", "--target", join(models, "target"), "--top-k", "3"],
      ...["--source", join(models, "target"), "--text", text!, "--out", out!],
    ]);
    const { bytes, cut, sources } = embedded(await Deno.readTextFile(out!));
    assert.equal(bytes + cut, 2700);
    assert.ok(cut > 0 && bytes > 1000);
    assert.match(said, new RegExp(`${cut} more do not fit`));
    // Its own source: every row has a pair, and nothing is lost.
    const [{ pairs, rows } = assert.fail()] = sources;
    assert.equal(pairs.length, rows.length - 1);
    const lost = pairs.flatMap(({ rewritten }) => rewritten[0]!.lost);
    assert.ok(Math.max(...lost) < ROUNDING);
  });
});

/** Walks the page by keys and clicks; what it sees is left in an element. */
const WALK = `
const seen = [];
const errors = [];
addEventListener("error", ({ message }) => errors.push(message));
const look = (what) => seen.push([
  what,
  document.querySelector("#pair h2").textContent.match(/Pair (\\d+) of/)[1],
  document.querySelector("h1").textContent,
  document.querySelector(".card[aria-pressed=true] h3").firstChild.data.trim(),
]);
const press = (key) => {
  dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
  look(key);
};
const click = (selector) => {
  document.querySelector(selector).click();
  look(selector);
};
look("start");
["ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home", "2", "m"].forEach(press);
click("[data-pair='4']");
click(".tabs [data-source='0']");
click(".card[data-method='0']");
press("ArrowDown");
const log = document.createElement("pre");
log.id = "log";
log.textContent = JSON.stringify({
  seen,
  errors,
  overflow: document.documentElement.scrollWidth - innerWidth,
});
document.body.append(log);
`;

Deno.test({
  name: `pta inspect writes a page that a browser draws and walks${hint}`,
  ignore: !chromium,
  fn: () =>
    inTemporaryDirectory(async (directory) => {
      const html = await made;
      const file = join(directory, "page.html");
      const walked = `<script>${WALK}</script></body>`;
      await Deno.writeTextFile(file, html.replace("</body>", () => walked));
      const dom = await dumpDom(chromium!, pathToFileURL(file).href);
      const document = parse(dom);
      const { seen, errors, overflow } = JSON.parse(
        document.getElementById("log")!.textContent!,
      );

      const { methods: all, target, sources } = embedded(html);
      const methods = all.map(({ name }) => name);
      const [speeches, code] = sources;
      const of = (name: string) => `${target.name} ← ${name}`;
      const best = "optimal-transport";
      const next = methods[(methods.indexOf(best) + 1) % methods.length]!;
      const line = speeches!.pairs.filter(({ offset }) => offset < 13).length;
      assert.deepEqual(errors, []);
      assert.ok(overflow <= 0, `${overflow} pixels are out of sight`);
      assert.deepEqual(seen.slice(0, 6), [
        ["start", "1", of("speeches"), best],
        ["ArrowRight", "2", of("speeches"), best],
        ["ArrowRight", "3", of("speeches"), best],
        ["ArrowLeft", "2", of("speeches"), best],
        ["End", `${speeches!.pairs.length}`, of("speeches"), best],
        ["Home", "1", of("speeches"), best],
      ]);
      assert.deepEqual(seen.slice(6, 9), [
        ["2", "1", of("code"), best],
        ["m", "1", of("code"), next],
        ["[data-pair='4']", "5", of("code"), next],
      ]);
      assert.deepEqual(seen[10][3], methods[0]);
      assert.ok(Number(seen[11][1]) >= line, "the second line");

      const count = (selector: string) =>
        document.querySelectorAll(selector).length;
      assert.ok(code);
      assert.equal(count(".dot"), speeches!.pairs.length);
      assert.equal(count(".card"), methods.length + 2);
      assert.equal(count(".matrix svg"), 2);
      assert.equal(count(".dot.chosen"), 1);
      assert.equal(count(".token.next"), 2);
    }),
});
