import { dirname, join, relative } from "node:path";
import {
  HubApiError,
  type ListFileEntry,
  listFiles,
  modelInfo,
} from "@huggingface/hub";
import { architectures } from "./architectures.ts";
import { INDEX, isPresent, readJson, SINGLE } from "./checkpoint.ts";
import { credentials, downloadBlob, oidOf } from "./hub_blob.ts";
import { DownloadBar } from "./download_bar.ts";
import type { HubAccess } from "./hub.ts";

/** Small files that a model may need. */
const SIDE_FILES =
  /^((generation_)?config|tokenizer\w*|special_tokens_map|added_tokens)\.json$/;

/** ONNX exports of causal language models, the best first. */
const ONNX_MODELS = ["model", "model_fp16", "model_quantized", "model_q4"];

/**
 * Download a model of the hub to the cache, in the layout of the official
 * clients: blobs by hash, links to them by name, and last the revision's name.
 *
 * @param access The model, the hub and the cache.
 * @returns Path of the snapshot.
 * @throws {Error} If the hub cannot be reached, knows no such model, wants a
 * token, or sends something else than it announced.
 */
export async function downloadModel(access: HubAccess): Promise<string> {
  const { id, folder, revision } = access;
  try {
    const { sha } = await modelInfo({
      ...credentials(access),
      name: id,
      revision,
      additionalFields: ["sha"],
    });
    const snapshot = join(folder, "snapshots", sha);
    const entries = await Array.fromAsync(listFiles({
      ...credentials(access),
      repo: id,
      revision: sha,
      recursive: true,
    }));
    await downloadFiles(access, sha, await chooseFiles(access, sha, entries));
    if (revision !== sha) await writeRef(join(folder, "refs", revision), sha);
    return snapshot;
  } catch (cause) {
    throw downloadError(access, cause);
  }
}

async function chooseFiles(
  access: HubAccess,
  sha: string,
  entries: readonly ListFileEntry[],
): Promise<ListFileEntry[]> {
  const files = new Map(entries.map((entry) => [entry.path, entry]));
  const side = entries.filter(({ path }) => SIDE_FILES.test(path));
  const onnx = ONNX_MODELS.find((name) => files.has(`onnx/${name}.onnx`));
  const hasSafetensors = files.has(SINGLE) || files.has(INDEX);
  if (onnx && !(hasSafetensors && await isOurs(access, sha, files))) {
    // A large export keeps its weights in model.onnx_data, model.onnx_data_1, …
    const start = `onnx/${onnx}.onnx`;
    return [
      ...side,
      ...entries.filter(({ path }) =>
        path === start || path.startsWith(`${start}_data`)
      ),
    ];
  }
  if (files.has(SINGLE)) return [...side, files.get(SINGLE)!];
  const index = files.get(INDEX);
  if (!index) {
    throw new Deno.errors.NotFound(
      `it has neither ${SINGLE}, nor ${INDEX}, nor onnx/model.onnx`,
    );
  }
  await downloadFiles(access, sha, [index]);
  const { weight_map: map } = await readJson(
    join(access.folder, "snapshots", sha, INDEX),
  );
  const shards = [...new Set(Object.values(Object(map)))].map((name) => {
    const shard = files.get(String(name));
    if (shard) return shard;
    throw new Deno.errors.NotFound(
      `its ${INDEX} names ${name}, which is missing`,
    );
  });
  return [...side, index, ...shards];
}

/** Whether the architecture is one that runs from safetensors here. */
async function isOurs(
  access: HubAccess,
  sha: string,
  files: ReadonlyMap<string, ListFileEntry>,
): Promise<boolean> {
  const config = files.get("config.json");
  if (!config) return true;
  await downloadFiles(access, sha, [config]);
  const file = join(access.folder, "snapshots", sha, "config.json");
  const { model_type: modelType } = await readJson(file);
  return Object.hasOwn(architectures, String(modelType));
}

async function downloadFiles(
  access: HubAccess,
  sha: string,
  files: readonly ListFileEntry[],
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  using bar = access.onProgress ? undefined : new DownloadBar(access.id, total);
  const report = access.onProgress ?? bar!.show.bind(bar);
  let done = 0;
  for (const file of files) {
    checkNames(sha, file);
    const blob = join(access.folder, "blobs", oidOf(file)!);
    await downloadBlob(
      access,
      sha,
      file,
      blob,
      (bytes) => report({ file: file.path, done: done + bytes, total }),
    );
    done += file.size;
    report({ file: file.path, done, total });
    await link(blob, join(access.folder, "snapshots", sha, file.path));
  }
}

/** What the hub says becomes paths: none may lead out of the cache. */
function checkNames(sha: string, file: ListFileEntry): void {
  const isHex = [sha, oidOf(file)].every((hash) => /^[0-9a-f]+$/.test(hash!));
  if (isHex && !file.path.split("/").includes("..")) return;
  throw new Error(
    `the hub names the file ${file.path} with the hash ${oidOf(file)} of ` +
      `commit ${sha}, expected a path inside the model and hexadecimal hashes`,
  );
}

async function link(blob: string, path: string): Promise<void> {
  if (await isPresent(path)) return;
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.symlink(relative(dirname(path), blob), path).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
}

async function writeRef(file: string, sha: string): Promise<void> {
  await Deno.mkdir(dirname(file), { recursive: true });
  await Deno.writeTextFile(`${file}.${Deno.pid}.tmp`, sha);
  await Deno.rename(`${file}.${Deno.pid}.tmp`, file);
}

const STATUS_ADVICE: Record<number, string> = {
  401:
    "it is not there or not public; set HF_TOKEN to a token that may read it",
  403: "the token may not read it; ask for access on the model's page",
  404: "it has no model of this name and revision",
};

function downloadError({ id, revision, endpoint }: HubAccess, cause: unknown) {
  const name = revision === "main" ? id : `${id}@${revision}`;
  const start = `Cannot get model ${name}: there is no such directory, and ` +
    `from ${endpoint}`;
  if (cause instanceof HubApiError) {
    const advice = STATUS_ADVICE[cause.statusCode] ??
      `the answer was ${cause.statusCode}`;
    return new Deno.errors.NotFound(`${start}: ${advice}`, { cause });
  }
  if (cause instanceof TypeError || typeof cause === "string") {
    return new Error(
      `${start}: nothing came, or it broke off (what has arrived is kept); ` +
        "set HF_ENDPOINT to a mirror, or copy the model to $HF_HOME/hub, or " +
        "give the path of a model directory",
      { cause: cause instanceof Error ? cause : new Error(cause) },
    );
  }
  return new Error(start, { cause });
}
