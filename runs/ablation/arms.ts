import type { Recipe } from "#/runs/demo/capture.ts";
import type { Flag } from "#/runs/demo/pta.ts";
import { referenceDefects } from "#/stages/align/reference/mod.ts";
import { packDefects } from "#/stages/pack/pack_defects.ts";

/** Whom a student learns from: aligned sources, a control, or nobody. */
export type Teacher =
  | { recipe: Recipe }
  | { control: "label-smoothing" | "shuffled-teacher" | "same-tokenizer" }
  | undefined;

/** One way to go on training the target. */
export interface Arm {
  /** What the table calls it. */
  name: string;
  /** Whom it learns from. */
  teacher: Teacher;
  /** Flags of `pta train`, where they are not {@linkcode usual}. */
  flags?: Record<string, Flag>;
  /** `--reference` of `pta pack`: which of its defects are as published. */
  packing?: string;
}

/** What all students share but where an arm says otherwise. */
export const usual: Record<string, Flag> = {
  steps: 150,
  "batch-size": 8,
  "warmup-ratio": 0.05,
  "save-every": 0,
  "learning-rate": 1e-3,
  "lm-weight": 0.3,
};

/** What the published scripts pack and train with. */
const published: Pick<Arm, "flags" | "packing"> = {
  flags: { "lm-weight": 0.9, residual: "zero", reference: "all" },
  packing: "all",
};

function aligned(
  name: string,
  align: Record<string, Flag>,
  more: Omit<Recipe, "name" | "align"> = {},
): Teacher {
  return { recipe: { name, align, ...more } };
}

/** The method that the other questions are asked about. */
export const best: Teacher = aligned("continuations", {
  method: "continuations",
});

/** An arm of the best method with other flags of training. */
function bestWith(name: string, flags: Record<string, Flag>): Arm {
  return { name, teacher: best, flags };
}

/** Images under another mapping than the nearest bytes. */
function images(mapping: string, more: Partial<Recipe> = {}): Arm {
  const name = `images, ${mapping}`;
  const directory = `images-${mapping}`;
  const teacher = aligned(directory, { method: "images" }, {
    mapping,
    ...more,
  });
  return { name, teacher };
}

function transport(name: string, flags: Record<string, Flag>): Arm {
  const directory = name.replaceAll(/[^a-z-]+/g, "-");
  const align = { method: "optimal-transport", ...flags };
  return { name, teacher: aligned(directory, align) };
}

function reference(name: string, kind: string, more: Partial<Arm> = {}): Arm {
  const teacher = aligned(
    `reference-${kind}`,
    { method: `reference-${kind}` },
    {
      mapping: "reference",
    },
  );
  return { name, teacher, ...more };
}

/** Fewer steps, as there are many students. */
const brief: Record<string, Flag> = { steps: 60 };

/** Candidates that the published scripts look at. */
const WINDOW = 10;

/**
 * PTA-LLM's transport with the defects of alignment that are named, from the
 * source whose tokens differ most from the target's.
 */
function corrected(names: string): Teacher {
  const align = {
    method: "reference-ot",
    reference: names,
    "top-k": WINDOW,
    threshold: 1e-3,
  };
  const directory = names.includes(",") ? "all" : names;
  return aligned(`defect-${directory}`, align, {
    mapping: "reference",
    sources: ["code"],
  });
}

function alignDefect(name: string): Arm {
  return { name: `align: ${name}`, teacher: corrected(name), flags: brief };
}

function packDefect(name: string): Arm {
  return {
    name: `pack: ${name}`,
    teacher: corrected("none"),
    packing: name,
    flags: brief,
  };
}

function trainDefect(name: string, flags: Record<string, Flag> = {}): Arm {
  return {
    name: "train: " +
      [
        ...(name === "none" ? [] : [name]),
        ...Object.entries(flags).map((flag) => flag.join(" ")),
      ].join(", "),
    teacher: corrected("none"),
    // Losses per token are kept only where packing is asked for what was published.
    packing: "none",
    flags: { ...brief, reference: name, ...flags },
  };
}

/** Every arm, by the question that it helps to answer. */
export const arms = {
  methods: [
    { name: "plain", teacher: undefined, flags: { "lm-weight": 1 } },
    reference("FuseLLM as published", "soft", published),
    reference("PTA-LLM as published", "ot", published),
    {
      name: "exact-match",
      teacher: aligned("exact", { method: "exact-match" }),
    },
    images("min-edit-distance"),
    images("first-piece"),
    images("projection"),
    transport("optimal-transport", {}),
    {
      name: "balanced",
      teacher: aligned("balanced", { method: "balanced", iterations: 100 }),
    },
    {
      name: "likelihood",
      teacher: aligned("likelihood", { method: "likelihood" }),
    },
    { name: "continuations", teacher: best },
  ],
  mappings: [
    images("co-occurrence"),
    images("statistics"),
    transport("transport, prefix-overlap", { cost: "prefix-overlap" }),
    transport("transport, first-piece", { cost: "first-piece" }),
    transport("transport, embedding", { cost: "embedding" }),
  ],
  controls: [
    { name: "label smoothing", teacher: { control: "label-smoothing" } },
    { name: "shuffled teacher", teacher: { control: "shuffled-teacher" } },
    { name: "same tokenizer", teacher: { control: "same-tokenizer" } },
  ],
  published: [
    reference("FuseLLM, our λ and fusion", "soft"),
    reference("PTA-LLM, our λ and fusion", "ot"),
    {
      name: "continuations, all else as published",
      teacher: best,
      ...published,
    },
  ],
  weights: [0.1, 0.2, 0.5, 0.9].map((weight) =>
    bestWith(`λ = ${weight}`, { "lm-weight": weight })
  ),
  residuals: ["spread", "ignored", "zero"].map((residual) =>
    bestWith(`residual ${residual}`, { residual })
  ),
  fusions: ["avg-ce", "min-ce-span", "sum", "confidence-max-prob"].map((
    fusion,
  ) => bestWith(fusion, { fusion })),
  losses: [
    "cross-entropy",
    "kl",
    "reverse-kl",
    "generalized-js",
    "total-variation",
    "uld",
    "gold",
    "alm",
  ].map((loss) => bestWith(loss, { loss, ...brief })),
  defects: [
    { name: "plain", teacher: undefined, flags: { "lm-weight": 1, ...brief } },
    { name: "all corrected", teacher: corrected("none"), flags: brief },
    ...Object.keys(referenceDefects).map(alignDefect),
  ],
  "defects downstream": [
    { name: "all corrected", teacher: corrected("none"), flags: brief },
    ...Object.keys(packDefects).map(packDefect),
    trainDefect("loss-per-token"),
    trainDefect("chunk-choice"),
    trainDefect("bf16-rewards"),
    trainDefect("none", { fusion: "avg-ce" }),
    trainDefect("softmax-of-rewards", { fusion: "avg-ce" }),
    trainDefect("none", { temperature: 2 }),
    trainDefect("teacher-temperature", { temperature: 2 }),
    {
      name: "all as published, λ as ours",
      teacher: corrected(Object.keys(referenceDefects).join()),
      packing: "all",
      flags: { residual: "zero", reference: "all", ...brief },
    },
  ],
} satisfies Record<string, Arm[]>;

/** A question that the lab answers. */
export type Group = keyof typeof arms;
