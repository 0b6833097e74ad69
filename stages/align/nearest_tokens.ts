import { editDistance } from "#/kernels/mod.ts";
import type { Tokenizer } from "#/tokenizers/mod.ts";
import { isFurther, sketchOf } from "./edit_bound.ts";
import type { TokenImage } from "./token_relation.ts";

/**
 * Finds the target token nearest to bytes, for the few that are asked for: an
 * index of a whole vocabulary takes longer than to look through its sketches.
 *
 * Of several the smallest id counts, and a byte token (`<0x41>`) only where no
 * other token has its byte, as in `byteVocabulary()`.
 */
export class NearestTokens {
  readonly #tokenBytes: readonly Uint8Array[];
  /** The tokens that text is written with, and their sketches. */
  readonly #ids: Int32Array;
  readonly #sketches: Int32Array;

  /**
   * Prepare.
   *
   * @param target The target's tokenizer.
   */
  constructor(
    { tokens, tokenBytes }: Pick<Tokenizer, "tokens" | "tokenBytes">,
  ) {
    const isByteToken = (id: number) =>
      tokenBytes[id]!.length === 1 && /^<0x[0-9A-F]{2}>$/.test(tokens[id]!);
    const written = new Set<number>();
    tokenBytes.forEach((bytes, id) => {
      if (bytes.length === 1 && !isByteToken(id)) written.add(bytes[0]!);
    });
    this.#tokenBytes = tokenBytes;
    this.#ids = Int32Array.from(tokenBytes.keys()).filter((id) =>
      tokenBytes[id]!.length > 0 &&
      !(isByteToken(id) && written.has(tokenBytes[id]![0]!))
    );
    this.#sketches = this.#ids.map((id) => sketchOf(tokenBytes[id]!));
  }

  /**
   * Find the nearest token.
   *
   * @param bytes Any bytes.
   * @param most Edits at most.
   * @returns The token, and how far it is; `undefined` if none is near enough.
   */
  find(
    bytes: Uint8Array,
    most: number,
  ): Omit<TokenImage, "weight"> | undefined {
    const sketch = sketchOf(bytes);
    const best = { targetId: -1, distance: Infinity };
    if (this.#ids.length === 0) return undefined;
    // Those that could be `bound` edits away or less, with a growing bound; of
    // those as near as the best, one may have a smaller id.
    for (let bound = 0; bound <= Math.min(most, best.distance); bound++) {
      for (let k = 0; k < this.#ids.length; k++) {
        if (isFurther(sketch, this.#sketches[k]!, bound)) continue;
        const targetId = this.#ids[k]!;
        const distance = editDistance(bytes, this.#tokenBytes[targetId]!);
        const isNearer = distance < best.distance ||
          distance === best.distance && targetId < best.targetId;
        if (isNearer) Object.assign(best, { targetId, distance });
      }
    }
    return best.distance <= most ? best : undefined;
  }
}
