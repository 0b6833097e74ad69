import type { Tokenizer } from "#/tokenizers/mod.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A token as one can read it: its bytes as text, where they are text, else in
 * hexadecimal; a special token as tokenizer.json spells it.
 *
 * @param tokenizer The tokenizer.
 * @param id The token.
 * @returns Its spelling, never empty.
 */
export function spelling(tokenizer: Tokenizer, id: number): string {
  const bytes = tokenizer.tokenBytes[id];
  if (!bytes || bytes.length === 0) return tokenizer.tokens[id] || `#${id}`;
  try {
    return decoder.decode(bytes);
  } catch {
    const pairs = Array.from(
      bytes,
      (byte) => byte.toString(16).toUpperCase().padStart(2, "0"),
    );
    return `⟨${pairs.join(" ")}⟩`;
  }
}
