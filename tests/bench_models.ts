import { initialWeights, tilesFor, trainingModel } from "#/models/mod.ts";
import { createSession, type Session, type Tensor } from "#/onnx/mod.ts";
import { int64, real, weightTensors } from "#/tests/tiny_models.ts";

/** What a step is measured over. */
export interface StepSizes {
  /** T, of one sequence. Defaults to 256. */
  length?: number;
  /** V. Defaults to 2048. */
  vocabSize?: number;
  /** K of the teacher. Defaults to 10. */
  topK?: number;
  /** D. Defaults to 64. */
  hidden?: number;
  /** Defaults to 2. */
  layers?: number;
  /** Of attention. Defaults to what suits T. */
  tiles?: number;
  /** Whether it goes backward, too. Defaults to true. */
  backward?: boolean;
}

/**
 * Make a function that runs a small Llama's loss, and its gradients, once. The
 * graph is opened at the first run.
 *
 * @param sizes See {@linkcode StepSizes}.
 * @returns The function.
 */
export function trainingStep(sizes: StepSizes): () => Promise<void> {
  let opened: ReturnType<typeof openStep> | undefined;
  return async () => {
    const { session, feeds } = await (opened ??= openStep(sizes));
    await session.run(feeds);
  };
}

async function openStep(
  {
    length = 256,
    vocabSize = 2048,
    topK = 10,
    hidden = 64,
    layers = 2,
    ...how
  }: StepSizes,
): Promise<{ session: Session; feeds: Record<string, Tensor> }> {
  const config = {
    ...{ model_type: "llama", vocab_size: vocabSize, hidden_size: hidden },
    ...{ intermediate_size: 3 * hidden, num_hidden_layers: layers },
    ...{ num_attention_heads: 4, num_key_value_heads: 2 },
    ...{ max_position_embeddings: 4096, tie_word_embeddings: true },
    ...{ rms_norm_eps: 1e-5, rope_theta: 10_000 },
  };
  const { tiles = tilesFor(length), backward = true } = how;
  const weights = initialWeights(config, 1);
  const { bytes } = trainingModel(config, weights, {
    distillation: { topK, loss: "kl", temperature: 1 },
    ...{ tiles, backward },
  });
  const session = await createSession(bytes, { device: "cpu" });
  const feeds = {
    ...weightTensors(weights),
    ...batch(length, vocabSize, topK),
  };
  return { session, feeds };
}

/** One sequence of drawn tokens, each with a teacher. */
function batch(
  length: number,
  vocabSize: number,
  topK: number,
): Record<string, Tensor> {
  const dims = [1, length];
  const ids = Array.from(
    { length },
    (_, t) => (t * t * 31 + 7 * t) % vocabSize,
  );
  const fused = ids.flatMap((id) =>
    Array.from({ length: topK }, (_, k) => (id + 11 * k) % vocabSize)
  );
  return {
    input_ids: int64(dims, ids),
    position: int64(dims, ids.keys().toArray()),
    document: int64(dims, new Uint8Array(length)),
    labels: int64(dims, ids.map((_, t) => ids[t + 1] ?? -100)),
    ce_weight: real(dims, () => 0.5 / length),
    fused_ids: int64([...dims, topK], fused),
    fused_probs: real([...dims, topK], () => 0.9 / topK),
    fused_residual: real(dims, () => 0.1),
    fused_weight: real(dims, () => 0.5 / length),
  };
}
