import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import {
  alignSources,
  type Cast,
  MAX_TOKENS,
  represent,
  split,
} from "#/runs/demo/capture.ts";
import { shuffleTeacher, smoothLabels } from "#/runs/demo/controls.ts";
import { filesOf } from "#/runs/demo/corpus.ts";
import { type Flag, pta } from "#/runs/demo/pta.ts";
import { score, type Scores } from "#/runs/demo/student.ts";
import { type Arm, best, type Teacher, usual } from "./arms.ts";
import type { ArmResult, StudentResult } from "./report.ts";
import { teacherBits, type TeacherFacts } from "./teacher_bits.ts";

const SMOOTHING = 0.1;

/** What a lab works with. */
export interface LabPlan {
  /** The models. */
  cast: Cast;
  /** Makes the same sources with the target's tokenizer, where they are asked for. */
  sameTokenizer: () => Promise<Cast>;
  /** Directory of the corpus. */
  corpus: string;
  /** Where everything goes. */
  out: string;
  /** Threads of onnxruntime, for those who let several run side by side. */
  threads?: number | undefined;
}

/**
 * One target and its sources: the text is represented once, and every arm takes
 * from it what it needs. What is there already is not made again.
 */
export class Lab {
  readonly #plan: LabPlan;
  readonly #representations: string;

  private constructor(plan: LabPlan, representations: string) {
    this.#plan = plan;
    this.#representations = representations;
  }

  /**
   * Represent the text.
   *
   * @param plan See {@linkcode LabPlan}.
   * @returns The lab.
   */
  static async open(plan: LabPlan): Promise<Lab> {
    const { cast, corpus, out } = plan;
    const texts = Object.values(filesOf(corpus, "fusion"));
    await split(cast, texts, `${out}/capture`);
    return new Lab(plan, await represent(cast, `${out}/capture`));
  }

  /**
   * Score the target as it is.
   *
   * @returns Its bits per byte on test text.
   */
  async before(): Promise<Scores> {
    const { cast, corpus, out } = this.#plan;
    return await once(
      `${out}/results/before.json`,
      () => score(cast.target, filesOf(corpus, "test")),
    );
  }

  /**
   * Align as an arm asks for, and tell how well its teachers predict the text.
   *
   * @param arm The arm.
   * @returns The arm without students.
   */
  async prepare(arm: Arm): Promise<Prepared> {
    const { cast, out } = this.#plan;
    const aligned = await this.#aligned(arm.teacher);
    const teachers = aligned.length > 0
      ? await teacherBits(cast.target, this.#representations, aligned)
      : undefined;
    const packed = `${out}/packed/${directoryOf(arm.teacher)}` +
      (arm.packing ? `-${arm.packing}` : "");
    await pta("pack", {
      "target-representations": this.#representations,
      aligned,
      length: MAX_TOKENS,
      out: packed,
      ...(arm.packing && {
        reference: arm.packing,
        "source-representations": aligned.map((directory) =>
          `${out}/capture/representations/${basename(directory)}`
        ),
      }),
    });
    return { arm, packed, ...(teachers && { teachers }) };
  }

  /**
   * Train and score a student, unless another arm's was the same.
   *
   * @param prepared Its arm.
   * @param flags Further flags of `pta train`, the seed among them.
   * @returns What became of it.
   */
  async teach(
    { arm, packed }: Prepared,
    flags: { seed: number } & Record<string, Flag>,
  ): Promise<StudentResult> {
    const { cast, corpus, out, threads } = this.#plan;
    const all: Record<string, Flag> = { ...usual, ...arm.flags, ...flags };
    const key = await hashOf(packed, all);
    const student = `${out}/students/${key}`;
    return await once(`${out}/results/${key}.json`, async () => {
      const [trained] = await pta("train", {
        model: cast.target,
        data: packed,
        out: student,
        resume: true,
        threads,
        ...all,
      }) as [{ tokens: number; seconds: number }];
      const bits_per_byte = await score(student, filesOf(corpus, "test"));
      await Deno.remove(student, { recursive: true });
      const { tokens, seconds } = trained;
      return { seed: flags.seed, bits_per_byte, tokens, seconds };
    });
  }

  async #aligned(teacher: Teacher): Promise<string[]> {
    const { cast, out } = this.#plan;
    const capture = `${out}/capture`;
    if (!teacher) return [];
    if ("recipe" in teacher) {
      return await alignSources(cast, teacher.recipe, capture);
    }
    const to = `${capture}/aligned/${directoryOf(teacher)}`;
    switch (teacher.control) {
      case "label-smoothing":
        await smoothLabels(this.#representations, `${to}/smooth`, SMOOTHING);
        return [`${to}/smooth`];
      case "shuffled-teacher":
        return await Promise.all(
          (await this.#aligned(best)).map(async (aligned) => {
            const shuffled = `${to}/${aligned.split("/").at(-1)}`;
            await shuffleTeacher(aligned, shuffled, 0);
            return shuffled;
          }),
        );
      case "same-tokenizer":
        return await this.#sameTokenizer(teacher.control);
    }
  }

  /** Represents the same blocks with other models, and takes those as they are. */
  async #sameTokenizer(name: string): Promise<string[]> {
    const { cast, sameTokenizer, out } = this.#plan;
    const { sources } = await sameTokenizer();
    const renamed = Object.fromEntries(
      Object.entries(sources).map(([source, model]) => [
        `${source}-${name}`,
        model,
      ]),
    );
    const models = { target: cast.target, sources: renamed };
    await represent(models, `${out}/capture`);
    const recipe = { name, align: { method: "exact-match" } };
    return await alignSources(models, recipe, `${out}/capture`);
  }
}

/** An arm, ready to teach. */
export interface Prepared extends Pick<ArmResult, "teachers"> {
  arm: Arm;
  /** Its packed rows. */
  packed: string;
  teachers?: TeacherFacts;
}

function directoryOf(teacher: Teacher): string {
  if (!teacher) return "plain";
  return "recipe" in teacher ? teacher.recipe.name : teacher.control;
}

/** Students are the same if their rows and their flags are. */
async function hashOf(
  packed: string,
  flags: Record<string, Flag>,
): Promise<string> {
  const hash = createHash("sha256");
  const entries = Object.entries(flags).sort(([a], [b]) => a < b ? -1 : 1);
  hash.update(JSON.stringify(entries));
  const shards: string[] = [];
  for await (const { name } of Deno.readDir(packed)) {
    if (name.endsWith(".arrow")) shards.push(name);
  }
  for (const name of shards.sort()) {
    hash.update(await Deno.readFile(`${packed}/${name}`));
  }
  return hash.digest("hex").slice(0, 16);
}

/** What a file holds, or what is computed and then kept there. */
async function once<Value>(
  file: string,
  compute: () => Promise<Value>,
): Promise<Value> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const value = await compute();
  await Deno.mkdir(dirname(file), { recursive: true });
  await Deno.writeTextFile(file, JSON.stringify(value));
  return value;
}
