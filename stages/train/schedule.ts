/** A factor of the learning rate by how much of the decay is done, 0 to 1. */
export type Schedule = (progress: number) => number;

/** How the learning rate falls after the warm-up, by name. */
export const schedules = {
  cosine: (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
  linear: (progress) => 1 - progress,
  constant: () => 1,
} satisfies Record<string, Schedule>;

/** A schedule by name. */
export type ScheduleName = keyof typeof schedules;

/**
 * The learning rate of one update: a linear warm-up, then a schedule down to 0
 * just after the last update.
 *
 * @param step The update, from 1 to `steps`.
 * @param options The peak, the share of updates that warm up (rounded up to a
 * whole update), the schedule, and how many updates there are.
 * @returns The learning rate.
 */
export function learningRateAt(
  step: number,
  { learningRate, warmupRatio, schedule, steps }: {
    learningRate: number;
    warmupRatio: number;
    schedule: ScheduleName;
    steps: number;
  },
): number {
  const warmup = Math.ceil(warmupRatio * steps);
  if (step <= warmup) return learningRate * step / warmup;
  const progress = (step - 1 - warmup) / Math.max(1, steps - warmup);
  return learningRate * schedules[schedule](progress);
}
