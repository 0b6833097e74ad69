/**
 * The plots of the notebooks, drawn without a browser.
 *
 * @module
 */

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

/** Words around a plot. */
export interface Caption {
  /** Above the plot. */
  title: string;
  /** Under the horizontal axis. */
  x: string;
  /** Beside the vertical axis. */
  y: string;
}

/** A matrix to look at. */
export interface Matrix {
  /** Entries, `[rows.length, cols.length]`. */
  values: ArrayLike<number>;
  /** Names of the rows, from the top. */
  rows: readonly string[];
  /** Names of the columns, from the left. */
  cols: readonly string[];
}

/** One point of a line or one bar of a group. */
export interface Point {
  /** The line it belongs to, or the bar's name within its group. */
  series: string;
  /** The place along the axis, or the group's name. */
  x: number | string;
  /** The value. */
  y: number;
}

/** Tokens of one tokenizer over a text. */
export interface Lane {
  /** Whose tokens these are. */
  name: string;
  /** Their spellings. */
  labels: readonly string[];
  /** The byte offset after each. */
  ends: ArrayLike<number>;
}

const FONT = { fontFamily: "system-ui, DejaVu Sans, sans-serif" };
const CELL = 46;

/**
 * Draw a matrix with every entry written into its cell.
 *
 * @param matrix What to draw; names may repeat.
 * @param caption Words around it.
 * @param digits Decimals of the numbers; zeros stay blank. Defaults to 2.
 * @returns HTML with one `<svg>`.
 */
export function heatMap(
  { values, rows, cols }: Matrix,
  caption: Caption,
  digits = 2,
): string {
  const cells = Array.from(values, (value, index) => ({
    value,
    row: Math.floor(index / cols.length),
    col: index % cols.length,
  }));
  const top = Math.max(...cells.map(({ value }) => value), Number.MIN_VALUE);
  const written = (value: number) =>
    value < 0.5 * 10 ** -digits ? "" : value.toFixed(digits);
  const marginLeft = 45 + 7.5 * Math.max(...rows.map(({ length }) => length));
  const marginBottom = 45 + 5 * Math.max(...cols.map(({ length }) => length));
  return draw(caption, {
    width: marginLeft + 40 + CELL * cols.length,
    height: marginBottom + 40 + 30 * rows.length,
    marginLeft,
    marginBottom,
    x: band(cols, caption.x, { tickRotate: -40 }),
    y: band(rows, caption.y),
    color: { type: "linear", scheme: "Blues", domain: [0, top * 1.15] },
    marks: [
      Plot.cell(cells, { x: "col", y: "row", fill: "value", inset: 0.5 }),
      Plot.text(cells, {
        x: "col",
        y: "row",
        text: ({ value }) => written(value),
        fill: ({ value }) => value > 0.6 * top ? "white" : "black",
      }),
    ],
  });
}

/**
 * Draw the tokens of several tokenizers above each other, over the text's bytes.
 *
 * @param lanes The tokenizers' tokens.
 * @param offsets Bytes to mark by a line through all lanes.
 * @param caption Words around it; `y` is not used.
 * @returns HTML with one `<svg>`.
 */
export function tokenLanes(
  lanes: readonly Lane[],
  offsets: readonly number[],
  caption: Caption,
): string {
  const boxes = lanes.flatMap(({ name, labels, ends }) =>
    labels.map((label, t) => ({
      name,
      label,
      start: t > 0 ? ends[t - 1]! : 0,
      end: ends[t]!,
    }))
  ).filter(({ start, end }) => end > start);
  const last = Math.max(...boxes.map(({ end }) => end));
  return draw(caption, {
    width: Math.max(500, 110 + 15 * last),
    height: 60 + 55 * lanes.length,
    marginBottom: 40,
    x: { label: caption.x, labelArrow: "none", domain: [0, last] },
    y: { label: null, domain: lanes.map(({ name }) => name) },
    marks: [
      Plot.barX(boxes, {
        x1: "start",
        x2: "end",
        y: "name",
        fill: "#e7effa",
        stroke: "#7b9cc9",
        inset: 1,
      }),
      Plot.ruleX(offsets, { stroke: "#d62728", strokeDasharray: "3,2" }),
      Plot.text(boxes, {
        x: ({ start, end }) => (start + end) / 2,
        y: "name",
        text: "label",
        fontSize: 11,
      }),
    ],
  });
}

/**
 * Draw lines, named above the plot.
 *
 * @param points The points of all lines, those of a line in order of x.
 * @param caption Words around it.
 * @returns HTML with one `<svg>`.
 */
export function lines(points: readonly Point[], caption: Caption): string {
  return draw(caption, {
    width: 680,
    height: 300,
    marginBottom: 40,
    x: { label: caption.x },
    y: { label: caption.y, grid: true, zero: false },
    color: { ...colors(points), legend: true },
    marks: [
      Plot.lineY(points, { x: "x", y: "y", stroke: "series" }),
    ],
  });
}

/**
 * Draw bars side by side in groups, each with its value above it.
 *
 * @param points One a bar; `x` names the group.
 * @param caption Words around it.
 * @param digits Decimals of the numbers. Defaults to 2.
 * @returns HTML with one `<svg>`.
 */
export function bars(
  points: readonly Point[],
  caption: Caption,
  digits = 2,
): string {
  const heights = points.map(({ y }) => y);
  const top = 1.1 * Math.max(0, ...heights);
  const bottom = 1.1 * Math.min(0, ...heights);
  return draw(caption, {
    width: 760,
    height: 320,
    marginBottom: 90,
    fx: { label: null, domain: [...new Set(points.map(({ x }) => x))] },
    x: { label: null, domain: colors(points).domain!, tickRotate: -40 },
    y: { label: caption.y, grid: true, domain: [bottom, top] },
    color: colors(points),
    marks: [
      Plot.barY(points, { fx: "x", x: "series", y: "y", fill: "series" }),
      Plot.text(points, {
        fx: "x",
        x: "series",
        y: "y",
        text: ({ y }) => y.toFixed(digits),
        dy: -6,
      }),
      Plot.ruleY([0]),
    ],
  });
}

/**
 * Draw a row of dots for every series, beside each other for every x.
 *
 * @param points One a dot; `x` names the panel.
 * @param caption Words around it; `x` is under every panel, `y` is not used.
 * @param zero A value to mark by a line in every panel.
 * @returns HTML with one `<svg>`.
 */
export function dots(
  points: readonly Point[],
  caption: Caption,
  zero?: number,
): string {
  const names = [...new Set(points.map(({ series }) => series))];
  const marginLeft = 45 + 6.5 * Math.max(...names.map(({ length }) => length));
  return draw(caption, {
    width: marginLeft + 620,
    height: 90 + 22 * names.length,
    marginLeft,
    fx: { label: null, domain: [...new Set(points.map(({ x }) => x))] },
    x: { label: caption.x, labelArrow: "none", grid: true, ticks: 4 },
    y: { label: null, type: "band", domain: names },
    color: colors(points),
    marks: [
      ...(zero === undefined ? [] : [Plot.ruleX([zero])]),
      Plot.dot(points, {
        fx: "x",
        x: "y",
        y: "series",
        stroke: "series",
        r: 4,
      }),
    ],
  });
}

/** A colour for every series, the same in every plot with the same series. */
function colors(points: readonly Point[]): Plot.ScaleOptions {
  const domain = [...new Set(points.map(({ series }) => series))];
  return { type: "categorical", scheme: "Observable10", domain };
}

/** A categorical axis by index, so that equal names stay apart. */
function band(
  names: readonly string[],
  label: string,
  options: Plot.ScaleOptions = {},
): Plot.ScaleOptions {
  return {
    type: "band",
    domain: names.map((_, index) => index),
    tickFormat: (index: number) => names[index]!,
    label,
    labelArrow: "none",
    ...options,
  };
}

function draw({ title }: Caption, options: Plot.PlotOptions): string {
  const { document } = parseHTML(
    "<!doctype html><html><body></body></html>",
  ) as unknown as Pick<Plot.PlotOptions, "document">;
  const figure = Plot.plot({
    document,
    marginLeft: 90,
    marginBottom: 70,
    style: { ...FONT, fontSize: "12px", overflow: "visible" },
    ...options,
  });
  return `<div><p><b>${escape(title)}</b></p>${figure.outerHTML}</div>`;
}

/**
 * Lay numbers and words out as a table.
 *
 * @param head Names of the columns.
 * @param rows The cells, each row as long as the head.
 * @returns HTML with one `<table>`.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${
      cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join("")
    }</tr>`;
  return `<table><thead>${row(head, "th")}</thead><tbody>` +
    rows.map((cells) => row(cells, "td")).join("") + "</tbody></table>";
}

/**
 * Write a token so that one can see it: spaces as ␣, line ends as ⏎.
 *
 * @param bytes What the token stands for.
 * @returns Its text, or its bytes in hexadecimal where they are no text.
 */
export function tokenLabel(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  if (bytes.length === 0) return "∅";
  if (text.includes("\ufffd")) {
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(
      " ",
    );
  }
  return text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
