/**
 * JSON with sorted keys and without absent fields, so that equal values have
 * equal texts. Numbers JSON lacks become strings: `"Infinity"`, `"NaN"`.
 *
 * @param value The value.
 * @returns One line of JSON.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(plain(value));
}

/**
 * A value as it will be read back from {@linkcode canonicalJson}.
 *
 * @param value The value.
 * @returns A copy in plain JSON types, keys sorted.
 */
export function plain(value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) return `${value}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  entries.sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(entries.map(([key, v]) => [key, plain(v)]));
}
