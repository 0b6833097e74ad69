import type { Projection } from "#/kernels/losses/mod.ts";
import {
  datasets,
  hashInput,
  readManifest,
  readRows,
  type VocabMappingRow,
} from "#/shards/mod.ts";
import { tokenizerFiles } from "#/stages/tokenizer_files.ts";
import type { ModelSource } from "#/stages/train/model_source.ts";
import type { SourceVocabulary } from "#/stages/train/training_data.ts";

/**
 * Read how the model's tokens are written in a teacher's vocabulary: a mapping
 * that goes the other way than those of `align`, from the model to the teacher.
 *
 * @param mapping A dataset of `map-vocab`, with the model as its source.
 * @param model The model.
 * @param teacher The teacher's vocabulary; without it, that is not checked.
 * @returns The projection.
 * @throws {RangeError} If the mapping is of other tokenizers.
 */
export async function readProjection(
  mapping: string,
  model: ModelSource,
  teacher: SourceVocabulary | undefined,
): Promise<Projection> {
  const { inputs } = await readManifest(mapping);
  const own = await hashInput(tokenizerFiles(model.tokenizer));
  const isSwapped = inputs.target === own && inputs.source !== own;
  if (inputs.source !== own) {
    throw new RangeError(
      `Cannot project ${model.directory} by ${mapping}: its source is another ` +
        `tokenizer${isSwapped ? ", and its target is the model's" : ""}, ` +
        "expected map-vocab --source MODEL --target TEACHER",
    );
  }
  if (teacher && inputs.target !== teacher.tokenizer) {
    throw new RangeError(
      `Cannot project ${model.directory} by ${mapping}: its target is another ` +
        "tokenizer, expected that of the teacher in the data",
    );
  }
  const rows = readRows(mapping, datasets.vocabMappings);
  return await projectionOf(rows, model.vocabSize, teacher?.vocabSize);
}

/**
 * Gather the rows of a mapping.
 *
 * @param rows Images of the model's tokens; those of weight 0 are left out.
 * @param vocabSize V, width of the model's logits.
 * @param teacherVocabSize U; by default what the images need.
 * @returns The projection; tokens that are padding have no image.
 */
export async function projectionOf(
  rows: AsyncIterable<VocabMappingRow> | Iterable<VocabMappingRow>,
  vocabSize: number,
  teacherVocabSize = 0,
): Promise<Projection> {
  const images: VocabMappingRow[][] = Array.from(
    { length: vocabSize },
    () => [],
  );
  let size = teacherVocabSize;
  for await (const image of rows) {
    if (!(image.weight > 0)) continue;
    images[image.sourceId]!.push(image);
    size = Math.max(size, image.targetId + 1);
  }
  const all = images.flat();
  const offsets = new Uint32Array(vocabSize + 1);
  images.forEach(({ length }, v) => offsets[v + 1] = offsets[v]! + length);
  return {
    vocabSize: size,
    offsets,
    ids: Uint32Array.from(all, ({ targetId }) => targetId),
    weights: Float32Array.from(all, ({ weight }) => weight),
  };
}
