import { compare, type PeerBench, peerName } from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import { VocabMapper } from "#/stages/map_vocab/map_vocab.ts";
import { realTokenizer } from "#/tests/real_tokenizers.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

/** Tokens the peers map; they take each alone, so that all take as long. */
const SAMPLE = { reference: 40, rapidfuzz: 4000 };

/** Every token of a source to the nearest of the target's, exactly. */
export const vocabularyMappingBench: PeerBench = {
  name: "vocabulary-mapping",
  async run() {
    const target = await loadTokenizer(await realTokenizer("llama2"));
    await using loops = await PythonPeer.open("reference.py");
    await using simd = await PythonPeer.open("rapidfuzz_cdist.py");
    const lines = [];
    for (const [name, goal] of [["gpt2", 1.2], ["qwen3", 3.9]] as const) {
      const source = await loadTokenizer(await realTokenizer(name));
      const inexact = inexactTokens(source.tokens, target.tokens);
      const share = (peer: PythonPeer, count: number) => async () => {
        const step = inexact.length / count;
        const tokens = Array.from(
          { length: count },
          (_, k) => inexact[Math.floor(k * step)]!,
        );
        const { seconds } = await peer.call("nearest", {
          tokens,
          target_tokens: target.tokens.filter((token) => token !== ""),
          source_marker: "Ġ",
          target_marker: "▁",
        });
        return seconds * inexact.length / count;
      };
      const best = await takeTurns({
        ours: timed(async () => {
          const mapper = new VocabMapper(target, source);
          return (await Array.fromAsync(mapper.rowsBy(2))).length;
        }),
        loops: loops && share(loops, SAMPLE.reference),
        simd: simd && share(simd, SAMPLE.rapidfuzz),
      }, 2);
      const work = `vocabulary mapping, 32,000 ← ${source.vocabSize}`;
      const { ours } = best;
      lines.push(
        compare(
          work,
          { ours, peer: best.simd },
          peerName(simd, "SIMD, all pairs, extrapolated"),
          `${goal} s`,
        ),
        compare(
          work,
          { ours, peer: best.loops },
          peerName(loops, "the reference's loop, extrapolated"),
          "",
        ),
      );
    }
    return lines;
  },
};

/** What the published mapping does not find by its spelling. */
function inexactTokens(
  source: readonly string[],
  target: readonly string[],
): string[] {
  const known = new Set(target);
  return source.filter((token) =>
    token !== "" && !known.has(token.replaceAll("Ġ", "▁"))
  );
}
