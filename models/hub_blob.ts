import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { downloadFile, type ListFileEntry } from "@huggingface/hub";
import { isPresent } from "./checkpoint.ts";
import type { HubAccess } from "./hub.ts";

/**
 * Download one file unless it is there; one process at a time. It gets its name
 * once its hash is right; what an interrupted download left is gone on with.
 *
 * @param access The model, the hub and the cache.
 * @param sha The commit.
 * @param file What the hub says of the file.
 * @param blob Path of the file in the cache.
 * @param onBytes Called with how many bytes are there.
 * @throws {Error} If what is sent is not what was announced.
 */
export async function downloadBlob(
  access: HubAccess,
  sha: string,
  file: ListFileEntry,
  blob: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if (await isPresent(blob)) return;
  await Deno.mkdir(dirname(blob), { recursive: true });
  using handle = await Deno.open(`${blob}.incomplete`, {
    read: true,
    write: true,
    create: true,
  });
  await handle.lock(true);
  if (await isPresent(blob)) return;
  const start = (await handle.stat()).size;
  if (start < file.size) {
    await download(access, sha, file, handle, start, onBytes);
  }
  if (start > 0 && await hashOf(handle, file) !== oidOf(file)) {
    await handle.truncate(0);
    await download(access, sha, file, handle, 0, onBytes);
  }
  if (await hashOf(handle, file) !== oidOf(file)) {
    await handle.truncate(0);
    throw new Error(`what was sent as ${file.path} has another hash or size`);
  }
  await handle.sync();
  await Deno.rename(`${blob}.incomplete`, blob);
}

async function download(
  access: HubAccess,
  sha: string,
  file: ListFileEntry,
  handle: Deno.FsFile,
  start: number,
  onBytes: (bytes: number) => void,
): Promise<void> {
  // Plain HTTP ranges, which resume; the chunked xet protocol does not.
  const blob = await downloadFile({
    ...credentials(access),
    repo: access.id,
    path: file.path,
    revision: sha,
    xet: false,
  });
  if (!blob) throw new Deno.errors.NotFound(`${file.path} is missing`);
  await handle.seek(start, Deno.SeekMode.Start);
  let bytes = start;
  for await (const chunk of blob.slice(start, file.size).stream()) {
    let written = 0;
    while (written < chunk.length) {
      written += await handle.write(chunk.subarray(written));
    }
    onBytes(bytes += chunk.length);
  }
}

/** Git's hash of a small file is SHA-1 with a header, a large one has SHA-256. */
async function hashOf(
  handle: Deno.FsFile,
  file: ListFileEntry,
): Promise<string> {
  const { size } = await handle.stat();
  const hash = createHash(file.lfs ? "sha256" : "sha1");
  if (!file.lfs) hash.update(`blob ${size}\0`);
  const chunk = new Uint8Array(1 << 20);
  await handle.seek(0, Deno.SeekMode.Start);
  for (let read; (read = await handle.read(chunk)) !== null;) {
    hash.update(chunk.subarray(0, read));
  }
  return hash.digest("hex");
}

/**
 * The hash that names a file in the cache.
 *
 * @param file What the hub says of it.
 * @returns SHA-256 of a large file, git's hash of a small one.
 */
export function oidOf({ lfs, oid }: ListFileEntry): string | undefined {
  return lfs?.oid ?? oid;
}

/**
 * What every request to the hub carries.
 *
 * @param access The hub and, if there is one, the token.
 * @returns Parameters of the client's functions.
 */
export function credentials(
  { endpoint, token }: HubAccess,
): { hubUrl: string; accessToken?: string } {
  return { hubUrl: endpoint, ...(token ? { accessToken: token } : {}) };
}
