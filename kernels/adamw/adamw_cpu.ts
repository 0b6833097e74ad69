/** The arrays one weight's update reads and writes, all of one length. */
export interface AdamwArrays {
  /** The weight, `[N]`; updated in place. */
  param: Float32Array;
  /** Its gradient, `[N]`; read only. */
  grad: Float32Array;
  /** First moment m, `[N]`, zero before step 1; updated in place. */
  m: Float32Array;
  /** Second moment v, `[N]`, zero before step 1; updated in place. */
  v: Float32Array;
}

/** How to update. */
export interface AdamwOptions {
  /** Which update this is, from 1: the exponent of the bias correction. */
  step: number;
  /** Learning rate. */
  learningRate: number;
  /** Decay of the first moment. Defaults to 0.9. */
  beta1?: number;
  /** Decay of the second moment. Defaults to 0.999. */
  beta2?: number;
  /** Added to the square root of the second moment. Defaults to 1e-8. */
  epsilon?: number;
  /** Decoupled weight decay, scaled by the learning rate. Defaults to 0. */
  weightDecay?: number;
  /** Factor on the gradient, such as that of clipping. Defaults to 1. */
  gradScale?: number;
}

/**
 * Apply one AdamW update in f64: the reference for the SIMD kernel.
 *
 * With g the scaled gradient: m ← β1 m + (1 − β1) g, v ← β2 v + (1 − β2) g²,
 * p ← p − lr (λ p + m̂ / (√v̂ + ε)), where m̂ = m / (1 − β1ᵗ) and
 * v̂ = v / (1 − β2ᵗ). Arrays are f32, so every result is rounded once.
 *
 * @param arrays The weight, its gradient and moments.
 * @param options See {@linkcode AdamwOptions}.
 * @see Loshchilov & Hutter 2019, {@link https://arxiv.org/abs/1711.05101}.
 */
export function adamwCpu(
  { param, grad, m, v }: AdamwArrays,
  options: AdamwOptions,
): void {
  const { step, learningRate, weightDecay = 0, gradScale = 1 } = options;
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  const correction1 = 1 - beta1 ** step;
  const correction2 = 1 - beta2 ** step;
  for (let i = 0; i < param.length; i++) {
    const g = grad[i]! * gradScale;
    const first = beta1 * m[i]! + (1 - beta1) * g;
    const second = beta2 * v[i]! + (1 - beta2) * g * g;
    const direction = first / correction1 /
      (Math.sqrt(second / correction2) + epsilon);
    param[i] = param[i]! - learningRate * (weightDecay * param[i]! + direction);
    m[i] = first;
    v[i] = second;
  }
}

/**
 * Sum the squares of an array in f64, in index order: the reference for the
 * SIMD kernel.
 *
 * @param values The array.
 * @returns Σ x².
 */
export function sumSquaresCpu(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
