import assert from "node:assert/strict";
import { crc32c, eventFile } from "#/stages/train/tensorboard.ts";

Deno.test("crc32c() gives the check value of the Castagnoli polynomial", () => {
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
});

Deno.test("eventFile() frames events that read back", () => {
  const bytes = eventFile([
    { wallTime: 1.5, step: 300, scalars: { "train/loss": 2.5, "lr": 0.125 } },
  ]);
  const [version, event, ...rest] = readRecords(bytes);
  assert.equal(rest.length, 0);
  assert.ok(new TextDecoder().decode(version).includes("brain.Event:2"));
  // wall_time = 1.5; step = 300; summary { value { tag, simple_value } … }
  assert.deepEqual([...event!], [
    ...[0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
    ...[0x10, 0xac, 0x02],
    ...[0x2a, 30],
    ...[0x0a, 17, 0x0a, 10, ...new TextEncoder().encode("train/loss")],
    ...[0x15, 0, 0, 0x20, 0x40],
    ...[0x0a, 9, 0x0a, 2, ...new TextEncoder().encode("lr")],
    ...[0x15, 0, 0, 0, 0x3e],
  ]);
});

function readRecords(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer);
  const records: Uint8Array[] = [];
  const masked = (part: Uint8Array) => {
    const crc = crc32c(part);
    return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  };
  for (let at = 0; at < bytes.length;) {
    const length = Number(view.getBigUint64(at, true));
    const end = at + 12 + length;
    assert.equal(
      view.getUint32(at + 8, true),
      masked(bytes.subarray(at, at + 8)),
    );
    assert.equal(
      view.getUint32(end, true),
      masked(bytes.subarray(end - length, end)),
    );
    records.push(bytes.subarray(end - length, end));
    at = end + 4;
  }
  return records;
}
