import { compare, type PeerBench, peerName } from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import { adamw, allocateAdamw } from "#/kernels/mod.ts";

/** Parameters of a small model. */
const LENGTH = 11_000_000;

/** One update of the weights. */
export const adamwBench: PeerBench = {
  name: "adamw",
  async run() {
    await using peer = await PythonPeer.open("torch_llama.py");
    const [arrays] = allocateAdamw([LENGTH]);
    arrays!.param.fill(1);
    arrays!.grad.fill(0.01);
    const seconds = await takeTurns({
      ours: timed(() => adamw(arrays!, { step: 2, learningRate: 1e-4 }), 5),
      peer: peer && (async () => {
        const request = { length: LENGTH, times: 5 };
        return (await peer.call("adamw", request)).seconds;
      }),
    }, 5);
    return [compare(
      `AdamW, ${LENGTH.toLocaleString("en")} parameters`,
      seconds,
      peerName(peer, "foreach"),
      `${(LENGTH * 1.2e-6).toPrecision(3)} ms (1.2 ns each)`,
    )];
  },
};
