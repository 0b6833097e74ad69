import { type AlignedPair, alignedPair } from "#/bench/aligned_pair.ts";
import { compare, type PeerBench, peerName } from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import { positionPairs } from "#/stages/align/position_pairs.ts";

/** Which rows of two tokenizations face each other, for one block. */
export const positionPairsBench: PeerBench = {
  name: "position-pairs",
  async run() {
    const { target, source, targetRows, sourceRows } = await alignedPair(1);
    const [ours, theirs] = [targetRows[0]!, sourceRows[0]!];
    await using peer = await PythonPeer.open("reference.py");
    const tokens = (row: typeof ours, { tokens }: AlignedPair["target"]) =>
      Array.from(row.inputIds.subarray(1), (id) => tokens[id]!);
    const request = {
      source: tokens(theirs, source),
      target: tokens(ours, target),
      markers: ["Ġ", "▁"],
    };
    const pairs = () => positionPairs(ours.byteEnds, theirs.byteEnds);
    const seconds = await takeTurns({
      ours: timed(pairs, 500),
      peer: peer &&
        (async () => (await peer.call("warp", request)).seconds),
    });
    return [compare(
      `position pairs, ${ours.inputIds.length} tokens`,
      { ours: seconds.ours, peer: seconds.peer },
      peerName(peer, "the reference's DTW"),
      "20,000×",
    )];
  },
};
