import assert from "node:assert/strict";
import { losses } from "#/kernels/losses/mod.ts";
import { matchedTokens } from "#/stages/train/matched_tokens.ts";

const image = (targetId: number, distance: number, weight: number) => ({
  ...{ sourceId: 0, targetId, distance, weight },
});

Deno.test("matchedTokens() keeps what all mappings know", async () => {
  const mappings = [
    [image(0, 0, 1), image(1, 0, 1), image(2, 1, 0.7), image(3, 1, 0.3)],
    [image(1, 0, 1), image(2, 2, 1), image(3, 0, 1)],
  ];
  const find = async (loss: "gold" | "h-kl", count: number) => [
    ...await matchedTokens(mappings.slice(0, count), 5, losses[loss].matches!),
  ];
  assert.deepEqual(await find("gold", 1), [1, 1, 0, 0, 0]);
  assert.deepEqual(await find("gold", 2), [0, 1, 0, 0, 0]);
  assert.deepEqual(await find("h-kl", 1), [1, 1, 1, 0, 0]);
  assert.deepEqual(await find("h-kl", 2), [0, 1, 1, 0, 0]);
});
