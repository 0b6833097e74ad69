/** config.json's fields, read with their types checked. */
export class Config {
  /** The fields, verbatim. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly #path: string;

  /**
   * Wrap a config.
   *
   * @param fields The parsed JSON object.
   * @param path Dotted path of a section, "" for the whole file.
   */
  constructor(fields: Readonly<Record<string, unknown>>, path = "") {
    this.fields = fields;
    this.#path = path;
  }

  /**
   * A number.
   *
   * @param field Its name.
   * @param fallback What an absent or null field means; an error by default.
   * @returns The number.
   * @throws {RangeError} If it is absent or no finite number.
   */
  number(field: string, fallback?: number): number {
    const value = this.fields[field] ?? fallback;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.error(field, "a number");
  }

  /**
   * A size.
   *
   * @param field Its name.
   * @param fallback What an absent or null field means; an error by default.
   * @returns A positive integer.
   * @throws {RangeError} If it is absent or none.
   */
  size(field: string, fallback?: number): number {
    const value = this.fields[field] ?? fallback;
    if (Number.isSafeInteger(value) && (value as number) > 0) {
      return value as number;
    }
    throw this.error(field, "a positive integer");
  }

  /**
   * A truth.
   *
   * @param field Its name.
   * @param fallback What an absent or null field means.
   * @returns The truth.
   * @throws {RangeError} If it is neither true nor false.
   */
  boolean(field: string, fallback: boolean): boolean {
    const value = this.fields[field] ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.error(field, "true or false");
  }

  /**
   * One of some words.
   *
   * @param field Its name.
   * @param words The words understood.
   * @param fallback What an absent or null field means.
   * @returns The word.
   * @throws {RangeError} If it is another.
   */
  word<Word extends string>(
    field: string,
    words: readonly Word[],
    fallback: Word,
  ): Word {
    const value = this.fields[field] ?? fallback;
    const word = words.find((word) => word === value);
    if (word !== undefined) return word;
    throw this.error(field, `one of ${words.join(", ")}`);
  }

  /**
   * A nested object.
   *
   * @param field Its name.
   * @returns It, or `undefined` where it is absent or null.
   * @throws {RangeError} If it is no object.
   */
  section(field: string): Config | undefined {
    const value = this.fields[field] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== "object" || Array.isArray(value)) {
      throw this.error(field, "an object");
    }
    return new Config(
      value as Record<string, unknown>,
      `${this.#path}${field}.`,
    );
  }

  /**
   * Refuse a feature that would change the model's results.
   *
   * @param field Its name.
   * @param meanings The values under which it does nothing, besides absence.
   * @throws {RangeError} If it has another value.
   */
  refuse(field: string, ...meanings: unknown[]): void {
    const value = this.fields[field] ?? undefined;
    if (value === undefined || meanings.includes(value)) return;
    const expected = [
      "none",
      ...meanings.map((value) => JSON.stringify(value)),
    ];
    throw this.error(field, `${expected.join(" or ")} (not supported)`);
  }

  /**
   * What to throw about a field.
   *
   * @param field Its name.
   * @param expected What it should be.
   * @returns The error, naming both and what is there.
   */
  error(field: string, expected: string): RangeError {
    const value = JSON.stringify(this.fields[field]) ?? "absent";
    return new RangeError(
      `Cannot build the model: ${this.#path}${field} in config.json is ` +
        `${value}, expected ${expected}`,
    );
  }
}
