/**
 * The bytes of a TensorBoard event file with scalar curves.
 *
 * Each record is its length, the length's masked CRC-32C, an `Event` protocol
 * buffer, and that one's masked CRC-32C.
 *
 * @param points Values by step, in order.
 * @returns The file.
 * @see {@link https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto}
 */
export function eventFile(points: Iterable<EventPoint>): Uint8Array {
  const records = [record(versionEvent())];
  for (const point of points) records.push(eventRecord(point));
  return concat(records);
}

/** The values of some curves at one step. */
export interface EventPoint {
  /** When, in seconds since 1970. */
  wallTime: number;
  /** Which update. */
  step: number;
  /** Value by tag, such as `train/loss`. */
  scalars: Readonly<Record<string, number>>;
}

/**
 * One record of an event file, to append to it.
 *
 * @param point The values.
 * @returns Its bytes.
 */
export function eventRecord(
  { wallTime, step, scalars }: EventPoint,
): Uint8Array {
  const values = Object.entries(scalars).map(([tag, value]) =>
    lengthDelimited(1, [
      ...lengthDelimited(1, new TextEncoder().encode(tag)),
      0x15,
      ...littleEndian(4, (view) => view.setFloat32(0, value, true)),
    ])
  );
  return record([
    ...wallTimeField(wallTime),
    0x10,
    ...varint(step),
    ...lengthDelimited(5, values.flat()),
  ]);
}

/**
 * The CRC-32C (Castagnoli) checksum.
 *
 * @param bytes What to sum.
 * @returns The unsigned checksum.
 */
export function crc32c(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) {
    crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return crc;
});

function versionEvent(): number[] {
  const version = new TextEncoder().encode("brain.Event:2");
  return [...wallTimeField(0), ...lengthDelimited(3, version)];
}

function record(event: readonly number[]): Uint8Array {
  const data = Uint8Array.from(event);
  const length = Uint8Array.from(
    littleEndian(8, (view) => view.setUint32(0, data.length, true)),
  );
  return concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

function maskedCrc(bytes: Uint8Array): Uint8Array {
  const crc = crc32c(bytes);
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  return Uint8Array.from(
    littleEndian(4, (view) => view.setUint32(0, masked, true)),
  );
}

function wallTimeField(seconds: number): number[] {
  return [
    0x09,
    ...littleEndian(8, (view) => view.setFloat64(0, seconds, true)),
  ];
}

function lengthDelimited(field: number, bytes: ArrayLike<number>): number[] {
  return [field << 3 | 2, ...varint(bytes.length), ...Array.from(bytes)];
}

function varint(value: number): number[] {
  return value < 128
    ? [value]
    : [value % 128 | 128, ...varint(Math.floor(value / 128))];
}

function littleEndian(size: number, set: (view: DataView) => void): number[] {
  const view = new DataView(new ArrayBuffer(size));
  set(view);
  return [...new Uint8Array(view.buffer)];
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
