import { type StepSizes, trainingStep } from "#/tests/bench_models.ts";

// One sequence through a Llama of two layers, 64 wide, with 2048 tokens and a
// top-10 teacher, but for what each group says: how its cost grows.
const axes: Record<string, StepSizes[]> = {
  "sequence length": [128, 256, 512, 1024].map((length) => ({ length })),
  "vocabulary": [2048, 8192, 32_768].map((vocabSize) => ({ vocabSize })),
  "k of the teacher": [1, 10, 32, 100].map((topK) => ({ topK })),
  "width": [64, 128, 256].map((hidden) => ({ hidden })),
  "layers": [2, 4, 8].map((layers) => ({ layers })),
};

for (const [group, all] of Object.entries(axes)) {
  for (const sizes of all) {
    const size = Object.entries(sizes).join().replace(",", " ");
    for (const backward of [false, true]) {
      const name = `${backward ? "forward and backward" : "forward"}, ${size}`;
      Deno.bench(
        name,
        { group, n: 10, warmup: 2 },
        trainingStep({ ...sizes, backward }),
      );
    }
  }
}
