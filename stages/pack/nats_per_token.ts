/**
 * Say how badly a model does on a block, token by token of its own.
 *
 * @param labelLogprobs Logprobs of the labels, `[T]`; NaN where there is none.
 * @param f16 Whether to round to f16 at every step, as published.
 * @returns Mean loss; NaN without a label.
 */
export function natsPerToken(
  labelLogprobs: ArrayLike<number>,
  f16 = false,
): number {
  const round = f16 ? Math.f16round : Number;
  let sum = 0;
  let count = 0;
  for (let t = 0; t < labelLogprobs.length; t++) {
    if (Number.isNaN(labelLogprobs[t]!)) continue;
    sum += round(-labelLogprobs[t]!);
    count++;
  }
  return round(round(sum) / round(count));
}
