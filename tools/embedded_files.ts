/** A file or a link inside a compiled binary. */
export interface EmbeddedFile {
  /** Path relative to the binary's root. */
  path: string;
  /** Content, unless it is a link. */
  bytes?: Uint8Array<ArrayBuffer>;
  /** What a link points to, relative to the root. */
  link?: string;
}

type Entry =
  | { Dir: { n: string; e: Entry[] } }
  | { File: { n: string; o: [offset: number, length: number] } }
  | { Symlink: { n: string; p: string[] } };

const MAGIC = "d3n0l4nd";

/**
 * Read back what `deno compile` has put into a binary.
 *
 * After the magic come sections, each behind its length as u64: the metadata,
 * the npm snapshot, twelve bytes of remote modules, the tree of files as JSON,
 * their content. This is the layout of Deno 2.9, which no one promises to keep.
 *
 * @param binary The whole binary.
 * @returns Every file and link.
 * @throws {SyntaxError} If the bytes are not laid out so.
 */
export function embeddedFiles(binary: Uint8Array<ArrayBuffer>): EmbeddedFile[] {
  const view = new DataView(binary.buffer, binary.byteOffset);
  const start = indexOf(binary, MAGIC + MAGIC);
  if (start < 0) {
    throw new SyntaxError("Cannot read a binary: deno compile did not make it");
  }
  const length = (at: number) => Number(view.getBigUint64(at, true));
  let at = start + 2 * MAGIC.length;
  at += 8 + length(at);
  at += 8 + length(at) + 12;
  const tree = binary.subarray(at + 8, at + 8 + length(at));
  at += 8 + tree.length;
  const content = binary.subarray(at + 8, at + 8 + length(at));
  return [...walk(JSON.parse(new TextDecoder().decode(tree)), "", content)];
}

function* walk(
  entries: readonly Entry[],
  directory: string,
  content: Uint8Array<ArrayBuffer>,
): Generator<EmbeddedFile> {
  for (const entry of entries) {
    if ("Dir" in entry) {
      yield* walk(entry.Dir.e, `${directory}${entry.Dir.n}/`, content);
    } else if ("File" in entry) {
      const [offset, length] = entry.File.o;
      yield {
        path: directory + entry.File.n,
        bytes: content.subarray(offset, offset + length),
      };
    } else {
      const { n, p } = entry.Symlink;
      yield { path: directory + n, link: p.join("/") };
    }
  }
}

function indexOf(haystack: Uint8Array, text: string): number {
  const needle = new TextEncoder().encode(text);
  let at = haystack.indexOf(needle[0]!);
  while (at >= 0 && !needle.every((byte, i) => haystack[at + i] === byte)) {
    at = haystack.indexOf(needle[0]!, at + 1);
  }
  return at;
}
