import {
  compare,
  type Comparison,
  type PeerBench,
  peerName,
} from "#/bench/comparison.ts";
import { takeTurns, timed } from "#/bench/measure.ts";
import { PythonPeer } from "#/bench/python_peer.ts";
import { LLAMAS, writeLlama } from "#/bench/sample_llama.ts";
import { blocks } from "#/bench/texts.ts";
import { openScorer } from "#/models/mod.ts";
import { datasets, type TextRow, writeDataset } from "#/shards/mod.ts";
import { call } from "#/stages/command.ts";
import { command as represent } from "#/stages/represent/main.ts";
import { inTemporaryDirectory } from "#/tests/temporary_directory.ts";
import { loadTokenizer } from "#/tokenizers/mod.ts";

/** Blocks of 512 tokens; four make a batch. */
const [BLOCKS, LENGTH, BATCH, TOP] = [32, 512, 4, 10];

/** Forward, top-k and, of ours, the whole stage with what it reads and writes. */
export const representBench: PeerBench = {
  name: "represent",
  async run() {
    const lines: Comparison[] = [];
    await inTemporaryDirectory(async (root) => {
      const model = `${root}/model`;
      await writeLlama(model, LLAMAS["11 M"]);
      const ids = await writeTexts(`${root}/text`, model);
      await using scorer = await openScorer(model, { device: "cpu" });
      await using peer = await PythonPeer.open("torch_llama.py");
      await peer?.call("load", { directory: model });
      let runs = 0;
      const best = await takeTurns({
        forward: timed(async () => {
          const size = BATCH * LENGTH;
          for (let first = 0; first < ids.length; first += size) {
            const part = ids.subarray(first, first + size);
            await scorer.topLogprobs(part, BATCH, LENGTH, TOP);
          }
        }),
        stage: timed(() =>
          call(represent, [
            ...["represent", "--model", model, "--text", `${root}/text`],
            ...["--out", `${root}/out${runs++}`, "--top-k", `${TOP}`],
            ...["--batch-tokens", `${BATCH * LENGTH}`, "--device", "cpu"],
          ])
        ),
        peer: peer && (async () => {
          const shape = { batch: BATCH, length: LENGTH, top_k: TOP };
          const request = { ids: [...ids], ...shape };
          return (await peer.call("represent", request)).seconds;
        }),
      });
      const unit = { amount: ids.length, of: "tokens" };
      const name = peerName(peer, "forward and top-k");
      const work = "represent, 11 M-parameter Llama, V = 32,000";
      lines.push(
        compare(
          `${work}, disk to disk`,
          { ours: best.stage, peer: best.peer },
          name,
          "1.5×",
          unit,
        ),
        compare(
          `${work}, forward and top-k`,
          { ours: best.forward, peer: best.peer },
          name,
          "",
          unit,
        ),
      );
    });
    return lines;
  },
};

/** Blocks of as many tokens each, BOS included; returns their ids. */
async function writeTexts(out: string, model: string): Promise<Int32Array> {
  const tokenizer = await loadTokenizer(model);
  const rows: TextRow[] = [];
  const ids = new Int32Array(BLOCKS * LENGTH);
  for (const text of await blocks(4 * LENGTH, BLOCKS)) {
    const all = tokenizer.encode(text).ids.slice(0, LENGTH - 1);
    ids[rows.length * LENGTH] = tokenizer.special.bos!;
    ids.set(all, rows.length * LENGTH + 1);
    const block = rows.length;
    const id = `block ${block}`;
    const cut = tokenizer.decode(all);
    rows.push({ id, document: id, block: 0, last: false, text: cut });
  }
  const inputs = { text: new URL(import.meta.url).pathname };
  const schema = datasets.text;
  await writeDataset(
    { out, stage: "split", options: {}, inputs, schema },
    ({ rows: done }) => rows.slice(done),
  );
  return ids;
}
