import assert from "node:assert/strict";
import { Room } from "#/models/room.ts";

Deno.test("Room.take() joins neighbours, and gives nothing twice", () => {
  const all = new Float32Array(100);
  const arrays = [all.subarray(0, 30), all.subarray(32, 60), all.subarray(90)];
  const room = new Room(arrays);
  const first = room.take(40)!;
  const second = room.take(10)!;
  assert.equal(room.take(13), undefined);
  first.fill(1);
  second.fill(2);
  assert.equal(all.filter((x) => x === 1).length, 40);
  assert.equal(all.filter((x) => x === 2).length, 10);
  assert.ok(all.subarray(60, 90).every((x) => x === 0));
});

Deno.test("Room.take() does not join arrays of other buffers", () => {
  const room = new Room([new Float32Array(8), new Float32Array(8)]);
  assert.equal(room.take(9), undefined);
  assert.equal(room.take(8)!.length, 8);
});
