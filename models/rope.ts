import type { Config } from "./config.ts";

const ROPE_TYPES = ["default", "linear", "dynamic", "llama3"] as const;

/**
 * The angles per position of rotary embeddings, scaled as config.json says.
 *
 * `rope_scaling` (`rope_parameters` in newer files) may be linear, llama3, or
 * dynamic, which changes nothing up to the context length, where we stop.
 *
 * @param config The config.
 * @param dim Features turned, R; where odd, one more is.
 * @param base Angles fall from 1 to 1 / base.
 * @returns ⌈R / 2⌉ angles.
 * @throws {RangeError} If the kind of scaling is unknown.
 * @see Su et al. 2021, arXiv:2104.09864.
 */
export function ropeFrequencies(
  config: Config,
  dim: number,
  base: number,
): number[] {
  const frequencies = Array.from(
    { length: Math.ceil(dim / 2) },
    (_, pair) => base ** (-2 * pair / dim),
  );
  const scaling = config.section("rope_parameters") ??
    config.section("rope_scaling");
  if (!scaling) return frequencies;
  const key = "rope_type" in scaling.fields ? "rope_type" : "type";
  switch (scaling.word(key, ROPE_TYPES, "default")) {
    case "linear": {
      const factor = scaling.number("factor");
      return frequencies.map((frequency) => frequency / factor);
    }
    case "llama3":
      return llama3Frequencies(scaling, frequencies);
    default:
      return frequencies;
  }
}

/**
 * The base of the rotary angles.
 *
 * @param config The config.
 * @param field Where older files have it.
 * @returns `rope_parameters.rope_theta`, else that field, else 10000.
 */
export function ropeBase(config: Config, field: string): number {
  const parameters = config.section("rope_parameters");
  if (parameters && "rope_theta" in parameters.fields) {
    return parameters.number("rope_theta");
  }
  return field in config.fields
    ? config.number(field)
    : config.number("rope_theta", 10000);
}

/** Long waves are stretched, short ones kept, those between interpolated. */
function llama3Frequencies(scaling: Config, frequencies: number[]): number[] {
  const factor = scaling.number("factor");
  const low = scaling.number("low_freq_factor");
  const high = scaling.number("high_freq_factor");
  const context = scaling.number("original_max_position_embeddings");
  return frequencies.map((frequency) => {
    const waves = context * frequency / (2 * Math.PI);
    if (waves < low) return frequency / factor;
    if (waves > high) return frequency;
    const smooth = (waves - low) / (high - low);
    return (1 - smooth) * frequency / factor + smooth * frequency;
  });
}
