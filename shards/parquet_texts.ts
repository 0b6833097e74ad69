import {
  brotliDecompressSync,
  gunzipSync,
  zstdDecompressSync,
} from "node:zlib";
import {
  type AsyncBuffer,
  type Compressors,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";

/** hyparquet brings snappy; the runtime has the rest. */
const compressors: Compressors = {
  BROTLI: (bytes) => new Uint8Array(brotliDecompressSync(bytes)),
  GZIP: (bytes) => new Uint8Array(gunzipSync(bytes)),
  ZSTD: (bytes) => new Uint8Array(zstdDecompressSync(bytes)),
};

/**
 * Read the `text` column of a Parquet file, one row group in memory at a time.
 *
 * @param path The file: snappy, gzip, zstd, brotli or uncompressed.
 * @returns The values, in order; whatever the file holds, so that the caller
 * checks them.
 * @throws {TypeError} If there is no column `text`.
 * @throws {SyntaxError} If the file cannot be decoded.
 */
export async function* parquetTexts(path: string): AsyncGenerator<unknown> {
  using disk = Deno.openSync(path);
  const file = bufferOf(disk);
  const metadata = await attempt(path, () => parquetMetadataAsync(file));
  const names = parquetSchema(metadata).children.map(({ element }) =>
    element.name
  );
  if (!names.includes("text")) {
    throw new TypeError(
      `Cannot read ${path}: it has the columns ${names.join(", ")}, ` +
        `expected a column text`,
    );
  }
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await attempt(path, () =>
      parquetReadObjects({
        file,
        metadata,
        compressors,
        columns: ["text"],
        rowStart,
        rowEnd,
      }));
    for (const { text } of rows) yield text;
    rowStart = rowEnd;
  }
}

function bufferOf(file: Deno.FsFile): AsyncBuffer {
  const byteLength = file.statSync().size;
  return {
    byteLength,
    slice(start, end = byteLength) {
      const bytes = new Uint8Array(Math.max(0, end - start));
      file.seekSync(start, Deno.SeekMode.Start);
      for (let read = 0; read < bytes.length;) {
        const count = file.readSync(bytes.subarray(read));
        if (count === null) {
          throw new RangeError(`it ends at byte ${start + read} of ${end}`);
        }
        read += count;
      }
      return Promise.resolve(bytes.buffer);
    },
  };
}

/** hyparquet reports damage by whatever breaks first. */
async function attempt<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read ${path}: expected a Parquet file that can be decoded`,
      { cause },
    );
  }
}
