import { join } from "node:path";
import { eventFile, eventRecord } from "#/stages/train/tensorboard.ts";

/** What `trainer_state.json` holds. */
export interface TrainerState {
  /** Updates done. */
  step: number;
  /** Updates of the whole run. */
  steps: number;
  /** Of the order of the data. */
  seed: number;
  /** Data rows learnt from, epochs over: where the data go on. */
  dataCursor: number;
  /** Positions learnt from that were not padding. */
  tokens: number;
  /** How long it has taken. */
  seconds: number;
  /** Everything that decides the numbers; a run resumes with the same only. */
  options: Record<string, unknown>;
}

/** One line of `metrics.jsonl`. */
export type MetricsLine = Record<string, number> & { step: number };

const STATE = "trainer_state.json";
const METRICS = "metrics.jsonl";
const EVENTS = "events.out.tfevents.";
const CHECKPOINT = /^checkpoint-(\d+)$/;

/**
 * The files of a training run: metrics, event file, checkpoints, and at the end
 * the model itself. A checkpoint appears at once or not at all.
 */
export class RunDirectory {
  /** The directory. */
  readonly path: string;
  readonly #eventsPath: string;

  private constructor(path: string, eventsPath: string) {
    this.path = path;
    this.#eventsPath = eventsPath;
  }

  /**
   * Begin a run, or open one that was interrupted.
   *
   * @param path The directory.
   * @param resume Whether it may exist. Its metrics are cut back to the last
   * checkpoint, and what was half written is removed.
   * @returns The directory and its last checkpoint, if any.
   * @throws {Error} If it is there and `resume` is false.
   */
  static async open(
    path: string,
    resume: boolean,
  ): Promise<{ run: RunDirectory; last: SavedState | undefined }> {
    const names = await namesIn(path);
    if (!resume && await isUsed(path, names)) {
      throw new Error(
        `Cannot train into ${path}: it exists, expected a new directory, ` +
          "or --resume to go on",
      );
    }
    await Deno.mkdir(path, { recursive: true });
    const isLeftover = (name: string) =>
      name.endsWith(".tmp") || name.startsWith(EVENTS);
    for (const name of names.filter(isLeftover)) {
      await Deno.remove(join(path, name), { recursive: true });
    }
    const run = new RunDirectory(path, join(path, eventFileName()));
    const last = await run.#lastState(names);
    await run.#restoreMetrics(last);
    return { run, last };
  }

  /**
   * Append one line to the metrics and the event file.
   *
   * @param line The metrics of one update.
   */
  async log(line: MetricsLine): Promise<void> {
    const text = new TextEncoder().encode(JSON.stringify(line) + "\n");
    await append(join(this.path, METRICS), text);
    await append(this.#eventsPath, eventRecord(toEvent(line)));
  }

  /**
   * Save a checkpoint, and remove the oldest ones.
   *
   * @param state What to go on from.
   * @param keep How many checkpoints stay.
   * @param write Writes model and optimizer to a directory.
   */
  async save(
    state: TrainerState,
    keep: number,
    write: (directory: string) => Promise<void>,
  ): Promise<void> {
    const directory = join(this.path, `checkpoint-${state.step}`);
    const temporary = `${directory}.tmp`;
    await Deno.mkdir(temporary, { recursive: true });
    await write(temporary);
    await copyIfThere(join(this.path, METRICS), join(temporary, METRICS));
    await writeJson(join(temporary, STATE), state);
    await Deno.rename(temporary, directory);
    const steps = checkpointSteps(await namesIn(this.path));
    for (const step of steps.slice(0, Math.max(0, steps.length - keep))) {
      await Deno.remove(join(this.path, `checkpoint-${step}`), {
        recursive: true,
      });
    }
  }

  /**
   * End the run: the model lies in the directory itself.
   *
   * @param state The state after the last update.
   * @param write Writes the model to a directory.
   */
  async finish(
    state: TrainerState,
    write: (directory: string) => Promise<void>,
  ): Promise<void> {
    await write(this.path);
    await writeJson(join(this.path, STATE), state);
  }

  /**
   * Find the last checkpoint.
   *
   * @returns Its path, if there is one.
   */
  async lastCheckpoint(): Promise<string | undefined> {
    const step = checkpointSteps(await namesIn(this.path)).at(-1);
    return step === undefined
      ? undefined
      : join(this.path, `checkpoint-${step}`);
  }

  /** The finished run's state, else the last checkpoint's. */
  async #lastState(names: readonly string[]): Promise<SavedState | undefined> {
    if (names.includes(STATE)) {
      return { directory: this.path, ...await readState(this.path) };
    }
    const directory = await this.lastCheckpoint();
    if (!directory) return undefined;
    return { directory, ...await readState(directory) };
  }

  async #restoreMetrics(last: SavedState | undefined): Promise<void> {
    const path = join(this.path, METRICS);
    if (last?.directory !== this.path) {
      const temporary = `${path}.tmp`;
      await Deno.writeTextFile(temporary, "");
      if (last) await copyIfThere(join(last.directory, METRICS), temporary);
      await Deno.rename(temporary, path);
    }
    const lines = (await Deno.readTextFile(path)).split("\n").filter(Boolean);
    const events = lines.map((line) => toEvent(JSON.parse(line)));
    await Deno.writeFile(this.#eventsPath, eventFile(events));
  }
}

/** A state and where its model lies. */
export interface SavedState {
  /** A checkpoint, or the run itself where it is finished. */
  directory: string;
  /** What to go on from. */
  state: TrainerState;
}

/** Whether there is more than a run leaves that fails before its first update. */
async function isUsed(path: string, names: string[]): Promise<boolean> {
  const others = names.filter((name) => !name.startsWith(EVENTS));
  if (others.join() !== METRICS) return others.length > 0;
  return (await Deno.stat(join(path, METRICS))).size > 0;
}

function checkpointSteps(names: readonly string[]): number[] {
  return names.flatMap((name) => {
    const step = CHECKPOINT.exec(name)?.[1];
    return step === undefined ? [] : [Number(step)];
  }).sort((a, b) => a - b);
}

async function readState(directory: string): Promise<{ state: TrainerState }> {
  const file = join(directory, STATE);
  try {
    return { state: JSON.parse(await Deno.readTextFile(file)) };
  } catch (cause) {
    throw new Error(`Cannot resume from ${file}`, { cause });
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) {
      throw new Error(
        `Cannot train into ${path}: it is a file, expected a new directory`,
      );
    }
    throw error;
  }
}

async function copyIfThere(from: string, to: string): Promise<void> {
  await Deno.copyFile(from, to).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

async function append(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await Deno.writeFile(file, bytes, { append: true });
  } catch (cause) {
    throw new Error(`Cannot write ${file}`, { cause });
  }
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(
    `${file}.tmp`,
    JSON.stringify(value, null, 2) + "\n",
  );
  await Deno.rename(`${file}.tmp`, file);
}

function eventFileName(): string {
  const seconds = Math.floor(Date.now() / 1000);
  return `${EVENTS}${seconds}.pta`;
}

function toEvent({ step, time, ...values }: MetricsLine) {
  const scalars = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name.startsWith("validation_") ? name.replace("_", "/") : `train/${name}`,
      value,
    ]),
  );
  return { wallTime: time ?? 0, step, scalars };
}
