import { openCheckpoint, readWeight } from "#/models/mod.ts";
import type { Embeddings } from "./costs/mod.ts";

/** What the architectures call the table of input embeddings. */
const TABLE = /(^|\.)(embed_tokens|wte|embed_in)\.weight$/;

/**
 * Read a model's input embeddings.
 *
 * @param directory The model's directory.
 * @param vocabSize Tokens there have to be rows of.
 * @returns The embeddings.
 * @throws {RangeError} If the model has no such table.
 */
export async function readEmbeddings(
  directory: string,
  vocabSize: number,
): Promise<Embeddings> {
  const { weights } = await openCheckpoint(directory);
  const table = [...weights.values()].find(({ name, shape }) =>
    TABLE.test(name) && shape.length === 2 && shape[0]! >= vocabSize
  );
  if (!table) {
    throw new RangeError(
      `Cannot read embeddings of ${directory}: it has no weight ` +
        `embed_tokens, wte or embed_in with a row for each of the ` +
        `${vocabSize} tokens, expected one`,
    );
  }
  return { values: await readWeight(table), width: table.shape[1]! };
}
