import type { PythonPeer } from "#/bench/python_peer.ts";

/** Us and a peer at the same work: one line of the table. */
export interface Comparison {
  /** What was done. */
  work: string;
  /** Our figure, with its unit. */
  ours: string;
  /** Who did it besides us, and its figure; or that it is absent. */
  peer: string;
  /** How much better our figure is. */
  ratio?: number | undefined;
  /** What is aimed at. */
  goal: string;
}

/** One row of the table of targets. */
export interface PeerBench {
  /** What it is called on the command line. */
  name: string;
  /** Runs us and the peers in turn. */
  run: () => Promise<Comparison[]>;
}

/** How seconds are shown. */
export interface Unit {
  /** How much is done in a run, for rates; without it, times are shown. */
  amount?: number;
  /** Of what. */
  of?: string;
}

/**
 * Compare the seconds of the same work.
 *
 * @param work What was done.
 * @param seconds Ours, and the peer's if there is one.
 * @param peer What the peer is.
 * @param goal What is aimed at.
 * @param unit How seconds are shown.
 * @returns The line.
 */
export function compare(
  work: string,
  { ours, peer: theirs }: {
    ours?: number | undefined;
    peer?: number | undefined;
  },
  peer: string,
  goal: string,
  unit: Unit = {},
): Comparison {
  return {
    work,
    ours: ours === undefined ? "absent" : figure(ours, unit),
    peer: theirs === undefined
      ? `${peer}: absent, skipped`
      : `${peer}: ${figure(theirs, unit)}`,
    ...ours !== undefined && theirs !== undefined && { ratio: theirs / ours },
    goal,
  };
}

/**
 * Show a time, or a rate.
 *
 * @param seconds The time.
 * @param unit How it is shown.
 * @returns Three digits and a unit.
 */
export function figure(seconds: number, { amount, of }: Unit = {}): string {
  if (amount !== undefined) return `${short(amount / seconds)} ${of}/s`;
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toPrecision(3)} ms`;
  return `${(seconds * 1e6).toPrecision(3)} µs`;
}

/**
 * What a peer is called.
 *
 * @param peer The peer, if it is there.
 * @param name What it does.
 * @returns Its name.
 */
export function peerName(peer: PythonPeer | undefined, name: string): string {
  return peer ? `${name} (${peer.versions})` : name;
}

/** The head of the Markdown table. */
export const tableHead: string = [
  "| work | ours | peer | ratio | goal |",
  "| --- | --- | --- | --- | --- |",
].join("\n");

/**
 * Lay comparisons out as lines of the Markdown table.
 *
 * @param comparisons The comparisons.
 * @returns A line each.
 */
export function tableLines(comparisons: readonly Comparison[]): string[] {
  return comparisons.map(({ work, ours, peer, ratio, goal }) => {
    const better = ratio === undefined ? "–" : `${short(ratio)}×`;
    return `| ${[work, ours, peer, better, goal].join(" | ")} |`;
  });
}

function short(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(3)));
}
