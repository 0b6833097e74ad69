import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { resolveModel } from "#/models/hub.ts";

const SHA = "0123456789abcdef0123456789abcdef01234567";
const root = await Deno.makeTempDir();

/** What a loopback hub has and does. */
interface FakeHub extends AsyncDisposable {
  endpoint: string;
  /** `path range token` of every file that was asked for. */
  requests: string[];
  /** After how many bytes the sending of a large file breaks off. */
  breakAfter: number;
  /** What is sent as every large file, if not what was announced. */
  lie: Uint8Array<ArrayBuffer> | undefined;
}

function serveHub(files: Record<string, string>): FakeHub {
  const bytes = (path: string) => new TextEncoder().encode(files[path]);
  const isLarge = (path: string) => /safetensors$|onnx/.test(path);
  const hub = { requests: [] as string[], breakAfter: Infinity } as
    & FakeHub
    & { lie: undefined };
  const tree = () =>
    Object.keys(files).map((path) => {
      const size = bytes(path).length;
      const git = createHash("sha1").update(`blob ${size}\0`);
      const oid = git.update(bytes(path)).digest("hex");
      const lfs = createHash("sha256").update(bytes(path)).digest("hex");
      return {
        type: "file",
        path,
        size,
        oid,
        ...(isLarge(path) ? { lfs: { oid: lfs, size, pointerSize: 99 } } : {}),
      };
    });
  const send = (path: string, request: Request) => {
    const all = hub.lie && isLarge(path) ? hub.lie : bytes(path);
    const range = request.headers.get("range") ?? "";
    hub.requests.push(
      [path, range, request.headers.get("authorization") ?? ""].join(" ")
        .trim(),
    );
    const [, from, to] = range.match(/bytes=(\d+)-(\d+)/) ?? [];
    const start = Number(from ?? 0);
    const part = all.subarray(start, to ? Number(to) + 1 : undefined);
    const isProbe = to === "0";
    const headers = {
      etag: '"x"',
      "content-range": `bytes ${start}-${
        start + part.length - 1
      }/${all.length}`,
      "content-length": String(part.length),
    };
    const body = isProbe || !isLarge(path) || hub.breakAfter > part.length
      ? part
      : new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(part.subarray(0, hub.breakAfter));
          setTimeout(() => controller.error(new Error("broken off")), 50);
        },
      });
    return new Response(body, { status: from ? 206 : 200, headers });
  };
  const server = Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      onListen() {},
      onError: () => new Response(),
    },
    (request) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/api/models/org/name/revision/")) {
        return Response.json({ _id: "1", id: "org/name", sha: SHA });
      }
      if (pathname === `/api/models/org/name/tree/${SHA}`) {
        return Response.json(tree());
      }
      const path = pathname.split(`/org/name/resolve/${SHA}/`)[1];
      if (path && path in files) return send(path, request);
      return Response.json({ error: "no" }, { status: 404 });
    },
  );
  hub.endpoint = `http://127.0.0.1:${server.addr.port}/`;
  hub[Symbol.asyncDispose] = () => server.shutdown();
  return hub;
}

const files = {
  "README.md": "not needed",
  "config.json": '{"model_type": "llama"}',
  "tokenizer.json": "{}",
  "tokenizer_config.json": "{}",
  "consolidated.safetensors": "not needed",
  "model.safetensors": "x".repeat(1000),
  "pytorch_model.bin": "not needed",
  "onnx/model.onnx": "graph",
  "onnx/model.onnx_data": "weights",
  "onnx/model_fp16.onnx": "not needed",
};

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

Deno.test("resolveModel() returns a directory as it is", async () => {
  assert.equal(await resolveModel(root), root);
});

Deno.test("resolveModel() downloads what a model needs, once", async () => {
  await using hub = serveHub(files);
  const options = {
    cache: `${root}/once`,
    endpoint: hub.endpoint,
    token: "hf_secret",
    onProgress: ({ done, total }: { done: number; total: number }) =>
      assert.ok(done <= total && total <= 1027),
  };
  const directory = await resolveModel("org/name", options);
  assert.equal(directory, `${root}/once/models--org--name/snapshots/${SHA}`);
  const expected = Object.keys(files).filter((name) =>
    /^(config|tokenizer|model)/.test(name)
  );
  assert.deepEqual(names(directory), expected.sort());
  for (const name of expected) {
    assert.ok(Deno.lstatSync(`${directory}/${name}`).isSymlink);
    const text = await Deno.readTextFile(`${directory}/${name}`);
    assert.equal(text, files[name as keyof typeof files]);
  }
  assert.ok(hub.requests.every((request) => request.includes("hf_secret")));

  const { length } = hub.requests;
  assert.equal(await resolveModel("org/name", options), directory);
  const offline = { cache: options.cache, offline: true };
  assert.equal(await resolveModel("org/name@main", offline), directory);
  assert.equal(await resolveModel(`org/name@${SHA}`, offline), directory);
  assert.equal(hub.requests.length, length);
});

Deno.test("resolveModel() goes on where a download was interrupted", async () => {
  await using hub = serveHub(files);
  const cache = `${root}/resumed`;
  const options = { cache, endpoint: hub.endpoint, onProgress() {} };
  hub.breakAfter = 600;
  await assert.rejects(resolveModel("org/name", options), /it broke off/);
  const model = `${cache}/models--org--name`;
  assert.equal(names(model).includes("refs"), false);
  assert.equal(
    names(`${model}/snapshots/${SHA}`).includes("model.safetensors"),
    false,
  );
  await assert.rejects(
    resolveModel(`org/name@${SHA}`, { cache, offline: true }),
    /lacks model\.safetensors, and HF_HUB_OFFLINE is set/,
  );
  hub.breakAfter = Infinity;
  const directory = await resolveModel("org/name", options);
  assert.ok(hub.requests.includes("model.safetensors bytes=600-999"));
  const text = await Deno.readTextFile(`${directory}/model.safetensors`);
  assert.equal(text, files["model.safetensors"]);
});

Deno.test("resolveModel() refuses what does not have the announced hash", async () => {
  await using hub = serveHub(files);
  hub.lie = new Uint8Array(1000);
  const options = {
    cache: `${root}/lie`,
    endpoint: hub.endpoint,
    onProgress() {},
  };
  await assert.rejects(resolveModel("org/name", options), (error: Error) => {
    assert.match((error.cause as Error).message, /another hash or size$/);
    return true;
  });
  hub.lie = undefined;
  await resolveModel("org/name", options);
});

Deno.test("resolveModel() follows an index to its shards", async () => {
  const index = JSON.stringify({ weight_map: { a: "a.safetensors" } });
  await using hub = serveHub({
    "config.json": "{}",
    "tokenizer.json": "{}",
    "model.safetensors.index.json": index,
    "a.safetensors": "a",
    "b.safetensors": "b",
  });
  const directory = await resolveModel("org/name@v1", {
    cache: `${root}/sharded`,
    endpoint: hub.endpoint,
    onProgress() {},
  });
  assert.ok(names(directory).includes("a.safetensors"));
  assert.ok(!names(directory).includes("b.safetensors"));
});

Deno.test("resolveModel() fetches one ONNX export of an architecture that is not ours", async () => {
  await using hub = serveHub({ ...files, "config.json": "{}" });
  const directory = await resolveModel("org/name", {
    cache: `${root}/onnx`,
    endpoint: hub.endpoint,
    onProgress() {},
  });
  assert.deepEqual(names(`${directory}/onnx`), [
    "model.onnx",
    "model.onnx_data",
  ]);
});

Deno.test("resolveModel() honours the environment", async () => {
  await using hub = serveHub(files);
  const values = {
    HF_HOME: `${root}/home`,
    HF_ENDPOINT: hub.endpoint,
    HF_TOKEN: "hf_other",
    HF_HUB_CACHE: "",
    HUGGINGFACE_HUB_CACHE: "",
    HF_HUB_OFFLINE: "",
  };
  const before = Object.keys(values).map((key) => [key, Deno.env.get(key)]);
  try {
    for (const [key, value] of Object.entries(values)) Deno.env.set(key, value);
    const onProgress = () => {};
    assert.equal(
      await resolveModel("org/name", { onProgress }),
      `${root}/home/hub/models--org--name/snapshots/${SHA}`,
    );
    assert.ok(hub.requests[0]!.endsWith("Bearer hf_other"));
    Deno.env.set("HF_HUB_OFFLINE", "1");
    await assert.rejects(resolveModel("org/other"), {
      name: "NotFound",
      message:
        /no directory of this name, and revision main is not in .*models--org--other, and HF_HUB_OFFLINE is set; unset it/,
    });
  } finally {
    for (const [key, value] of before) {
      value === undefined ? Deno.env.delete(key!) : Deno.env.set(key!, value);
    }
  }
});

Deno.test("resolveModel() says why a model cannot be had", async () => {
  await using hub = serveHub({ "config.json": "{}" });
  const options = { cache: `${root}/none`, endpoint: hub.endpoint };
  await assert.rejects(resolveModel("./nowhere"), /it is not there, expected/);
  await Deno.writeTextFile(`${root}/file`, "");
  await assert.rejects(resolveModel(`${root}/file`), /it is a file, expected/);
  await assert.rejects(
    resolveModel("org/other", options),
    /there is no such directory, and from .*: it has no model of this name and revision$/,
  );
  await assert.rejects(resolveModel("org/name", options), (error: Error) => {
    assert.match((error.cause as Error).message, /^it has neither/);
    return true;
  });
  await assert.rejects(
    resolveModel("org/name", { ...options, endpoint: "http://127.0.0.1:1" }),
    /nothing came, or it broke off/,
  );
});

Deno.test.afterAll(() => Deno.remove(root, { recursive: true }));
