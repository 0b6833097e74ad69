/**
 * Losses: logits in, a value per row and the gradient of the logits out. Each
 * folder holds one; a new one is a folder and a line in {@linkcode losses}.
 *
 * Most are sums over outcomes, and a folder holds one outcome's term:
 * `outcomes.wgsl` does the rest. Those that compare by rank first give a teacher's
 * tokens the ids of the model's: `rank_tokens.wgsl`.
 *
 * @module
 */

import { alm } from "#/kernels/losses/alm/alm.ts";
import { almCpu } from "#/kernels/losses/alm/alm_cpu.ts";
import { crossEntropy } from "#/kernels/losses/cross_entropy/cross_entropy.ts";
import { crossEntropyCpu } from "#/kernels/losses/cross_entropy/cross_entropy_cpu.ts";
import { kl } from "#/kernels/losses/kl/kl.ts";
import { klCpu } from "#/kernels/losses/kl/kl_cpu.ts";
import { generalizedJs } from "#/kernels/losses/generalized_js/generalized_js.ts";
import { generalizedJsCpu } from "#/kernels/losses/generalized_js/generalized_js_cpu.ts";
import { reverseKl } from "#/kernels/losses/reverse_kl/reverse_kl.ts";
import { reverseKlCpu } from "#/kernels/losses/reverse_kl/reverse_kl_cpu.ts";
import { totalVariation } from "#/kernels/losses/total_variation/total_variation.ts";
import { totalVariationCpu } from "#/kernels/losses/total_variation/total_variation_cpu.ts";
import { uld } from "#/kernels/losses/uld/uld.ts";
import { uldCpu } from "#/kernels/losses/uld/uld_cpu.ts";
import { gold } from "#/kernels/losses/gold/gold.ts";
import { goldCpu } from "#/kernels/losses/gold/gold_cpu.ts";
import { hKl } from "#/kernels/losses/h_kl/h_kl.ts";
import { hKlCpu } from "#/kernels/losses/h_kl/h_kl_cpu.ts";
import { pKl } from "#/kernels/losses/p_kl/p_kl.ts";
import { pKlCpu } from "#/kernels/losses/p_kl/p_kl_cpu.ts";
import type {
  LossOptions,
  LossOutput,
  LossRows,
} from "#/kernels/losses/loss_rows.ts";

export * from "./loss_rows.ts";
export * from "./residuals.ts";
export * from "./prepare_teacher.ts";
export * from "./cross_entropy/cross_entropy.ts";
export * from "./cross_entropy/cross_entropy_cpu.ts";
export * from "./kl/kl.ts";
export * from "./kl/kl_cpu.ts";
export * from "./reverse_kl/reverse_kl.ts";
export * from "./reverse_kl/reverse_kl_cpu.ts";
export * from "./generalized_js/generalized_js.ts";
export * from "./generalized_js/generalized_js_cpu.ts";
export * from "./total_variation/total_variation.ts";
export * from "./total_variation/total_variation_cpu.ts";
export * from "./uld/uld.ts";
export * from "./uld/uld_cpu.ts";
export * from "./gold/gold.ts";
export * from "./gold/gold_cpu.ts";
export * from "./h_kl/h_kl.ts";
export * from "./h_kl/h_kl_cpu.ts";
export * from "./p_kl/p_kl.ts";
export * from "./p_kl/p_kl_cpu.ts";
export * from "./alm/alm.ts";
export * from "./alm/alm_cpu.ts";

export type { OutcomeTerm } from "./outcomes_cpu.ts";
export type { Projection } from "./projection.ts";

/** A loss in its two forms. */
export interface Loss {
  /** On the GPU. */
  kernel: (
    device: GPUDevice,
    rows: LossRows,
    options?: LossOptions,
  ) => Promise<LossOutput>;
  /** The f64 reference. */
  cpu: (
    rows: LossRows<ArrayLike<number>>,
    options?: LossOptions,
  ) => LossOutput<Float64Array>;
  /**
   * Which images of a vocabulary mapping make a token `matched`, for the losses
   * that need to know.
   */
  matches?: (image: { distance: number; weight: number }) => boolean;
  /** Whether rows have to bring `chunkLogprobs`. */
  ofChunks?: boolean;
  /** Whether it takes a teacher's own tokens, and rows have to bring `projection`. */
  projects?: boolean;
}

/** From here on, an image is as good as a match: the published threshold. */
const NEAR_MATCH = 0.6;

/** A loss by the name `--loss` takes. */
export type LossName =
  | "cross-entropy"
  | "kl"
  | "reverse-kl"
  | "generalized-js"
  | "total-variation"
  | "uld"
  | "gold"
  | "h-kl"
  | "p-kl"
  | "alm";

/** The losses by name. */
export const losses: Record<LossName, Loss> = {
  "cross-entropy": { kernel: crossEntropy, cpu: crossEntropyCpu },
  kl: { kernel: kl, cpu: klCpu },
  "reverse-kl": { kernel: reverseKl, cpu: reverseKlCpu },
  "generalized-js": { kernel: generalizedJs, cpu: generalizedJsCpu },
  "total-variation": { kernel: totalVariation, cpu: totalVariationCpu },
  uld: { kernel: uld, cpu: uldCpu },
  gold: {
    kernel: gold,
    cpu: goldCpu,
    matches: ({ distance }) => distance === 0,
  },
  "h-kl": {
    kernel: hKl,
    cpu: hKlCpu,
    matches: ({ weight }) => weight >= NEAR_MATCH,
  },
  "p-kl": { kernel: pKl, cpu: pKlCpu, projects: true },
  alm: { kernel: alm, cpu: almCpu, ofChunks: true },
};
