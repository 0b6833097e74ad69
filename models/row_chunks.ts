import type { Tensor, TensorData } from "#/onnx/mod.ts";
import type { Tensors } from "./blockwise.ts";

/** How large the logits of a chunk of rows may be; less takes longer, more no less long. */
const LOGITS_BYTES = 3 * 2 ** 24;

/**
 * How many rows go through the head at a time: logits and softmax of all rows would
 * be its largest arrays by far.
 *
 * @param vocabSize V.
 * @returns At least 1.
 */
export function rowsAtATime(vocabSize: number): number {
  return Math.max(1, Math.floor(LOGITS_BYTES / (4 * vocabSize)));
}

/**
 * Cut a batch into runs of rows, B · T of them, as alike in size as can be.
 *
 * @param feeds Tensors `[B, T, …]`.
 * @param x What enters the head, `[N, D]`.
 * @param most Rows of a run at most.
 * @returns Each run's part of `feeds`, `[1, n, …]`, and of x, `[n, D]`.
 */
export function* rowChunks(
  feeds: Tensors,
  x: Tensor,
  most: number,
): Generator<Tensors> {
  const [rows, size] = x.dims as [number, number];
  const count = Math.ceil(rows / most);
  for (let chunk = 0; chunk < count; chunk++) {
    const first = Math.floor(chunk * rows / count);
    const end = Math.floor((chunk + 1) * rows / count);
    const part = Object.entries(feeds).map(([name, tensor]) => {
      const inner = tensor.dims.slice(2);
      return [
        name,
        slice(tensor, rows, [first, end], [1, end - first, ...inner]),
      ];
    });
    yield {
      ...Object.fromEntries(part),
      x: slice(x, rows, [first, end], [end - first, size]),
    };
  }
}

function slice(
  { type, data }: Tensor,
  rows: number,
  [first, end]: readonly [number, number],
  dims: readonly number[],
): Tensor {
  const stride = data.length / rows;
  const part = data.subarray(first * stride, end * stride);
  return { type, dims, data: part as TensorData };
}
