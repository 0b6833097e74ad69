import type { Model } from "./architectures.ts";

/** Shape of a weight, by name. */
export type WeightShapes = ReadonlyMap<
  string,
  { readonly shape: readonly number[] }
>;

/** Finds weights under the names files give them, and remembers which were used. */
export class WeightNames {
  readonly #weights: WeightShapes;
  readonly #model: Model;
  readonly #used = new Set<string>();

  /**
   * Look among a file's weights.
   *
   * @param model The model they are for.
   * @param weights Shapes by name.
   */
  constructor(model: Model, weights: WeightShapes) {
    this.#model = model;
    this.#weights = weights;
  }

  /**
   * The name of a weight in the files: verbatim, or without the usual prefix.
   *
   * @param name Hugging Face's name.
   * @param shape The shape the config implies.
   * @returns The name found.
   * @throws {RangeError} If there is none, or its shape is another.
   */
  find(name: string, shape: readonly number[]): string {
    const { prefix } = this.#model.architecture;
    const short = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const found = [name, short].find((name) => this.#weights.has(name));
    if (!found) {
      throw new RangeError(
        `Cannot build the model: weight ${name} is missing, expected ` +
          `[${shape.join(", ")}]`,
      );
    }
    const actual = this.#weights.get(found)!.shape;
    if (String(actual) !== String(shape)) {
      throw new RangeError(
        `Cannot build the model: weight ${found} is [${actual.join(", ")}], ` +
          `expected [${shape.join(", ")}] by config.json`,
      );
    }
    this.#used.add(found);
    return found;
  }

  /**
   * Make sure that nothing was overlooked.
   *
   * @throws {RangeError} If the files hold weights that the model has no use for.
   */
  checkUnused(): void {
    const { ignored } = this.#model.architecture;
    const unused = [...this.#weights.keys()]
      .filter((name) => !this.#used.has(name) && !ignored.test(name));
    if (unused.length === 0) return;
    const others = unused.length > 1
      ? ` (and of ${unused.length - 1} others)`
      : "";
    throw new RangeError(
      `Cannot build the model: config.json implies no weight ${unused[0]}` +
        `${others}, expected only those it implies`,
    );
  }
}
