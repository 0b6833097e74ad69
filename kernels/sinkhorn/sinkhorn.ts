import { run } from "#/kernels/device.ts";
import {
  checkProblems,
  relaxationOf,
  sinkhornDefaults,
  type SinkhornOptions,
  type SinkhornOutput,
  type TransportProblems,
} from "#/kernels/sinkhorn/sinkhorn_cpu.ts";
import { expandLines } from "#/kernels/sinkhorn/expand_lines.ts";
import loopCode from "./sinkhorn.wgsl" with { type: "text" };
import unrolledCode from "./sinkhorn_unrolled.wgsl" with { type: "text" };

/** The largest `rows` or `cols` of a problem on the GPU, as in the shader. */
export const MAX_POINTS = 128;

/** Problems a workgroup solves. */
const WORKGROUP = 32;

/** Loop rounds of an invocation that every driver runs to their end. */
const MAX_ROUNDS = 60_000;

/** Cells of a padded cost matrix: one iteration a pass is the least. */
const MAX_CELLS = MAX_ROUNDS / 5;

/** Cells up to which the shader is unrolled: compilers take long over more. */
const MAX_UNROLLED = 256;

/** Iterations a pass of the unrolled shader runs. */
const UNROLLED_PASS = 1000;

/**
 * Solve a batch of semi-relaxed entropic transport problems on the GPU.
 *
 * Finds P ≥ 0 minimizing ⟨C, P⟩ − ε H(P) + τ KL(Pᵀ 1 ‖ b) with P 1 = a. Marginals
 * may hold zeros. A plan that has not converged is returned, not thrown: read
 * its `marginalError`.
 *
 * @param device Where to run.
 * @param problems The batch, B × `[rows, cols]`, f32.
 * @param options See {@linkcode SinkhornOptions}.
 * @returns What {@linkcode sinkhornCpu} does, within rtol 1e-4.
 * @throws {RangeError} If an array does not fit `rows` and `cols`, a problem is
 * too large ({@linkcode fitsSinkhorn}), or an option is out of its range.
 * @see Chizat et al. 2018, {@link https://arxiv.org/abs/1607.05816}, Algorithm 1.
 */
export async function sinkhorn(
  device: GPUDevice,
  problems: TransportProblems,
  options: SinkhornOptions = {},
): Promise<SinkhornOutput> {
  const settings = { ...sinkhornDefaults, ...options };
  const { cost, a, b, rows, cols } = problems;
  const batch = checkProblems(problems, settings);
  if (!fitsSinkhorn(rows, cols)) {
    throw new RangeError(
      `Cannot solve transport problems on the GPU: the size is [${rows}, ` +
        `${cols}], expected at most ${MAX_POINTS} either way and ` +
        `${MAX_CELLS} cells`,
    );
  }
  const { code, perPass } = shaderOf(rows, cols);

  const [columnSums, marginalError, iterations, plan] = await run(device, {
    label: "sinkhorn",
    code,
    constants: {
      ROWS: rows,
      COLS: cols,
      ITERATIONS: settings.iterations,
      ITERATIONS_PER_PASS: perPass,
      WORKGROUP,
      WITH_PLAN: Number(settings.plan),
      LOG2E_OVER_EPSILON: Math.LOG2E / settings.epsilon,
      RELAXATION: relaxationOf(settings),
      THRESHOLD: settings.threshold,
    },
    bindings: [
      cost,
      a,
      b,
      { length: b.length, scratch: true },
      { length: b.length },
      { length: batch },
      { length: batch },
      settings.plan
        ? { length: cost.length }
        : { length: batch, scratch: true },
    ],
    items: batch,
    itemsPerWorkgroup: WORKGROUP,
    passes: Math.ceil(settings.iterations / perPass),
  });
  return {
    columnSums: columnSums!,
    marginalError: marginalError!,
    iterations: iterations!,
    ...(settings.plan ? { plan: plan! } : {}),
  };
}

/**
 * Whether the GPU takes problems of a size.
 *
 * @param rows Source points.
 * @param cols Target points.
 * @returns False where {@linkcode sinkhorn} would throw.
 */
export function fitsSinkhorn(rows: number, cols: number): boolean {
  return Math.max(rows, cols) <= MAX_POINTS &&
    (rows + 1) * (cols + 1) <= MAX_CELLS;
}

/** The shader for a size, and how many iterations a pass may run. */
function shaderOf(
  rows: number,
  cols: number,
): { code: string; perPass: number } {
  return rows * cols <= MAX_UNROLLED
    ? { code: expandLines(unrolledCode, rows, cols), perPass: UNROLLED_PASS }
    : { code: loopCode, perPass: iterationsPerPass(rows, cols) };
}

/** A pass sweeps the matrix twice an iteration and three times besides. */
function iterationsPerPass(rows: number, cols: number): number {
  const sweep = (rows + 1) * (cols + 1);
  return Math.floor((MAX_ROUNDS / sweep - 3) / 2);
}
