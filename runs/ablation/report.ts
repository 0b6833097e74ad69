import type { Scores } from "#/runs/demo/student.ts";
import type { TeacherFacts } from "./teacher_bits.ts";

/** One student of one seed. */
export interface StudentResult {
  /** Seed of the data order. */
  seed: number;
  /** Bits per byte on test text by domain. */
  bits_per_byte: Scores;
  /** Tokens of all batches, padding excluded. */
  tokens: number;
  /** Seconds of training, with whatever else the machine did. */
  seconds: number;
}

/** One way to go on training a target, over the seeds. */
export interface ArmResult {
  /** What it is called. */
  name: string;
  /** What its teachers say of the text; nothing for plain training. */
  teachers?: TeacherFacts;
  /** Updates of each student. */
  steps: number;
  /** Its students. */
  students: StudentResult[];
}

/** What `pta run ablation` writes. */
export interface AblationResults {
  /** Bits per byte on test text before any training, by target. */
  before: Record<string, Scores>;
  /** Arms by question. */
  groups: Record<string, ArmResult[]>;
}

/** What a group of arms is about, above its table. */
export const captions: Record<string, string> = {
  methods: "Alignment methods",
  mappings: "Other vocabulary mappings and transport costs",
  controls: "Controls",
  published: "Is it the alignment, or the recipe around it?",
  weights: "How much the label counts (continuations)",
  residuals: "What the tail of the top-k does (continuations)",
  fusions: "Fusion functions (continuations)",
  losses: "Losses (continuations)",
  defects: "PTA-LLM's defects of alignment, one at a time",
  "defects downstream": "Its defects of packing and training, one at a time",
};

/**
 * Results as text for docs/results.md, as `deno fmt` would have it.
 *
 * @param results What the lab found.
 * @returns One table a group.
 */
export function markdown({ before, groups }: AblationResults): string {
  return Object.entries(groups).filter(([, arms]) => arms.length > 0)
    .map(([group, arms]) => {
      const base = before[group.replace(/^target: /, "")] ?? before.demo!;
      const domains = Object.keys(base);
      const head = [
        "student",
        "taught",
        ...domains.map((domain) => `teachers, ${domain}`),
        ...domains,
        "steps",
        "tokens",
        "seconds",
      ];
      const rows = [
        [
          "before",
          ...Array(domains.length + 1).fill("–"),
          ...domains.map((domain) => base[domain]!.toFixed(4)),
          ...Array(3).fill("–"),
        ],
        ...arms.map((arm) => armCells(arm, domains)),
      ];
      return `### ${captions[group] ?? group}\n\n${table([head, ...rows])}`;
    }).join("\n\n");
}

function armCells(
  { name, teachers, steps, students }: ArmResult,
  domains: readonly string[],
): string[] {
  const mean = (values: number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  return [
    name,
    teachers ? `${(100 * teachers.taught).toFixed(1)} %` : "–",
    ...domains.map((domain) =>
      teachers?.bits_per_byte[domain]?.toFixed(3) ?? "–"
    ),
    ...domains.map((domain) => {
      const values = students.map(({ bits_per_byte }) =>
        bits_per_byte[domain]!
      );
      if (values.length === 1) return values[0]!.toFixed(4);
      const spread = Math.max(...values) - Math.min(...values);
      return `${mean(values).toFixed(4)} (${spread.toFixed(4)})`;
    }),
    String(steps),
    String(Math.round(mean(students.map(({ tokens }) => tokens)))),
    String(Math.round(mean(students.map(({ seconds }) => seconds)))),
  ];
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]!.length))
  );
  const line = (cells: readonly string[]) =>
    `| ${
      cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")
    } |`;
  const [head, ...body] = rows;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(head!), line(rule), ...body.map(line)].join("\n");
}

const BEGIN = "<!-- the ablation's tables: written by pta run ablation -->";
const END = "<!-- end of the ablation's tables -->";

/**
 * Put the tables where the last ones are.
 *
 * @param file A text with the two marks between which the tables stand.
 * @param tables The new ones.
 * @throws {RangeError} If the marks are not there.
 */
export async function writeTables(file: string, tables: string): Promise<void> {
  const text = await Deno.readTextFile(file);
  const [first, last] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (first < 0 || last < first) {
    throw new RangeError(
      `Cannot write the tables into ${file}: it lacks a mark, expected the ` +
        `lines "${BEGIN}" and "${END}"`,
    );
  }
  await Deno.writeTextFile(
    file,
    `${text.slice(0, first)}${BEGIN}\n\n${tables}\n\n${text.slice(last)}`,
  );
}
