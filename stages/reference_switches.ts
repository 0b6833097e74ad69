import { text } from "@optique/core/message";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { list } from "#/stages/command.ts";

/** What published code does that is thought to be wrong: a name, and what it does. */
export type Defects = Readonly<Record<string, string>>;

/** Which defects are switched on. */
export type Switches<Table extends Defects> = Readonly<
  Record<keyof Table, boolean>
>;

/**
 * The flag `--reference`, of a stage that does nothing as published unless it is
 * asked to.
 *
 * @param defects What there is to switch on.
 * @returns The parser of the names.
 */
export function referenceFlag(
  defects: Defects,
): Parser<"sync", readonly string[], readonly unknown[]> {
  const described = Object.entries(defects)
    .map(([name, what]) => `${name}: ${what}`).join("; ");
  return list(
    option("--reference", string({ metavar: "DEFECT,DEFECT" }), {
      description: [
        text(
          "What to do as published, though it is thought to be wrong: names, or " +
            `all (default: none of it). ${described}`,
        ),
      ],
    }),
    0,
  );
}

/**
 * Switch defects on.
 *
 * @param defects What there is.
 * @param given Names, several of them in a string or not; `all`, or `none`.
 * @returns A switch for each.
 * @throws {RangeError} If there is no such defect.
 */
export function switchesOf<Table extends Defects>(
  defects: Table,
  given: readonly string[],
): Switches<Table> {
  const names = given.flatMap((part) => part.split(","))
    .map((name) => name.trim());
  const known = Object.keys(defects);
  const chosen = new Set(
    names.join() === "all" ? known : names.join() === "none" ? [] : names,
  );
  for (const name of chosen) {
    if (Object.hasOwn(defects, name)) continue;
    throw new RangeError(
      `Cannot switch a defect on: "${name}" is none, expected all, none, or ` +
        `some of ${known.join(", ")}`,
    );
  }
  return Object.fromEntries(
    known.map((name) => [name, chosen.has(name)]),
  ) as Switches<Table>;
}

/**
 * The defects that are on, for a manifest: datasets without any do not name them.
 *
 * @param switches The switches.
 * @returns `reference`, the names in order, or nothing.
 */
export function switchedOn(
  switches: Readonly<Record<string, boolean>>,
): { reference?: string } {
  const names = Object.keys(switches).filter((name) => switches[name]);
  return names.length > 0 ? { reference: names.join() } : {};
}
