import { join } from "node:path";
import { INDEX, isPresent, readJson, SINGLE } from "./checkpoint.ts";

/** Where models come from; what is left out comes from the environment. */
export interface HubOptions {
  /** Folder of the cache: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
  cache?: string;
  /** Address of the hub: HF_ENDPOINT, else huggingface.co. */
  endpoint?: string;
  /** Access token: HF_TOKEN, else the file HF_HOME/token, else none. */
  token?: string;
  /** Whether the network is not to be used: HF_HUB_OFFLINE. */
  offline?: boolean;
  /** Called as bytes arrive; by default a bar is drawn on stderr. */
  onProgress?: (progress: DownloadProgress) => void;
}

/** How far a download has come. */
export interface DownloadProgress {
  /** The file that is being downloaded. */
  file: string;
  /** Bytes that are there, of all files. */
  done: number;
  /** Bytes of all files. */
  total: number;
}

/** A model of the hub. */
export interface HubModel {
  /** `org/name`. */
  id: string;
  /** A branch, a tag or a commit; `main` by default. */
  revision: string;
}

/** What a hub model and an access to it come to, nothing left out. */
export interface HubAccess extends HubModel {
  /** Folder of this model in the cache. */
  folder: string;
  /** Address of the hub, without a slash at its end. */
  endpoint: string;
  /** Access token, if there is one. */
  token: string | undefined;
  /** Called as bytes arrive, if anyone listens. */
  onProgress: ((progress: DownloadProgress) => void) | undefined;
}

const HUB_ID = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/;

/**
 * Find a model directory by path or by its name on the Hugging Face hub.
 *
 * A directory is returned as it is. `org/name` or `org/name@revision` is looked
 * up in the Hugging Face cache (shared with Python), else downloaded to it: only
 * config.json, the tokenizer's files and one set of weights, an ONNX export
 * where the architecture is not ours. What is in the cache
 * is not looked for anew on the hub. A download that was interrupted goes on
 * where it stopped; files get their name once their hash is right.
 *
 * @param nameOrPath A directory, or a name on the hub.
 * @param options See {@linkcode HubOptions}.
 * @returns Path of the model directory.
 * @throws {Deno.errors.NotFound} If there is neither such a directory nor such a
 * model, or it is not in the cache and the network is off.
 */
export async function resolveModel(
  nameOrPath: string,
  options: HubOptions = {},
): Promise<string> {
  const info = await Deno.stat(nameOrPath).catch(() => undefined);
  if (info?.isDirectory) return nameOrPath;
  const match = nameOrPath.match(HUB_ID);
  if (info || !match || /^[.~]/.test(nameOrPath)) {
    throw new Deno.errors.NotFound(
      `Cannot find model ${nameOrPath}: it is ${
        info ? "a file" : "not there"
      }` +
        ", expected a model directory or a name on the hub (org/name)",
    );
  }
  const model = { id: match[1]!, revision: match[2] ?? "main" };
  const access = hubAccess(model, options);
  const cached = await findSnapshot(access);
  if (cached && cached.missing.length === 0) return cached.directory;
  if (options.offline ?? isOn("HF_HUB_OFFLINE")) {
    throw offlineError(access, cached);
  }
  const { downloadModel } = await import("./hub_download.ts");
  return await downloadModel(access);
}

/**
 * Say which of the files that a model needs a directory lacks.
 *
 * @param directory A model directory, complete or not.
 * @returns Names of missing files, none if the model can be opened.
 */
export async function missingFiles(directory: string): Promise<string[]> {
  const missing: string[] = [];
  for (const name of ["config.json", "tokenizer.json"]) {
    if (!await isPresent(join(directory, name))) missing.push(name);
  }
  if (await isPresent(join(directory, SINGLE))) return missing;
  const index = join(directory, INDEX);
  if (await isPresent(index)) {
    const { weight_map: map } = await readJson(index);
    for (const shard of new Set(Object.values(Object(map)))) {
      const isThere = await isPresent(join(directory, String(shard)));
      if (!isThere) missing.push(String(shard));
    }
  } else if (!await hasOnnx(directory)) {
    missing.push(SINGLE);
  }
  return missing;
}

async function hasOnnx(directory: string): Promise<boolean> {
  const folder = join(directory, "onnx");
  if (!await isPresent(folder)) return false;
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
  return names.some((name) => /^model.*\.onnx$/.test(name));
}

function hubAccess(model: HubModel, options: HubOptions): HubAccess {
  const home = env("HF_HOME") ?? join(
    env("XDG_CACHE_HOME") ??
      join(env("HOME") ?? env("USERPROFILE") ?? ".", ".cache"),
    "huggingface",
  );
  const cache = options.cache ?? env("HF_HUB_CACHE") ??
    env("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub");
  const endpoint = options.endpoint ?? env("HF_ENDPOINT") ??
    "https://huggingface.co";
  return {
    ...model,
    folder: join(cache, `models--${model.id.replace("/", "--")}`),
    endpoint: endpoint.replace(/\/+$/, ""),
    token: options.token ?? env("HF_TOKEN") ?? readToken(join(home, "token")),
    onProgress: options.onProgress,
  };
}

async function findSnapshot(
  { folder, revision }: HubAccess,
): Promise<{ directory: string; missing: string[] } | undefined> {
  const commit = await Deno.readTextFile(join(folder, "refs", revision))
    .catch(() => revision);
  const directory = join(folder, "snapshots", commit.trim());
  if (!await isPresent(directory)) return undefined;
  return { directory, missing: await missingFiles(directory) };
}

function offlineError(
  { id, revision, folder }: HubAccess,
  cached: { directory: string; missing: string[] } | undefined,
): Error {
  const what = cached
    ? `${cached.directory} lacks ${cached.missing.join(", ")}`
    : `there is no directory of this name, and revision ${revision} is not ` +
      `in ${folder}`;
  return new Deno.errors.NotFound(
    `Cannot find model ${id}: ${what}, and HF_HUB_OFFLINE is set; unset it, ` +
      `or fetch the model where there is a network and copy ${folder} here, ` +
      "or give the path of a model directory",
  );
}

function env(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}

function isOn(name: string): boolean {
  return /^(1|true|yes|on)$/i.test(env(name) ?? "");
}

function readToken(file: string): string | undefined {
  try {
    return Deno.readTextFileSync(file).trim() || undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
