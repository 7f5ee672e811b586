/** The binary messages: one frame each. */

/** A frame of a take; everything counts from 0. */
export interface Position {
  shot: number;
  take: number;
  frame: number;
}

/** Whether a frame is of the same take as another, and not before it. */
export const isFrom = (one: Position, from: Position) =>
  one.shot === from.shot && one.take === from.take && one.frame >= from.frame;

/** The only kind of binary message: H.264. */
export const H264 = 1;
export const HEADER_BYTES = 22;

export interface Packet extends Position {
  kind: number;
  keyframe: boolean;
  lastOfShot: boolean;
  /** Whether it is decoded for those after it alone, and not shown. */
  hidden?: boolean;
  timestampMicroseconds: number;
  payload: Uint8Array<ArrayBuffer>;
}

/**
 * Reads kind (1 byte), shot, take, frame (uint32 each), flags (1 byte), timestamp (uint64), then the payload;
 * numbers are little-endian.
 *
 * @throws Error when the message is shorter than its header.
 */
export function readPacket(bytes: ArrayBuffer): Packet {
  if (bytes.byteLength < HEADER_BYTES) {
    throw new Error(`A video message has ${bytes.byteLength} bytes; its header alone needs ${HEADER_BYTES}.`);
  }
  const view = new DataView(bytes);
  const flags = view.getUint8(13);
  return {
    kind: view.getUint8(0),
    shot: view.getUint32(1, true),
    take: view.getUint32(5, true),
    frame: view.getUint32(9, true),
    keyframe: (flags & 1) !== 0,
    lastOfShot: (flags & 2) !== 0,
    timestampMicroseconds: Number(view.getBigUint64(14, true)),
    payload: new Uint8Array(bytes, HEADER_BYTES),
  };
}

/** The message that `readPacket` reads back. */
export function writePacket(packet: Packet): ArrayBuffer {
  const bytes = new ArrayBuffer(HEADER_BYTES + packet.payload.length);
  const view = new DataView(bytes);
  view.setUint8(0, packet.kind);
  view.setUint32(1, packet.shot, true);
  view.setUint32(5, packet.take, true);
  view.setUint32(9, packet.frame, true);
  view.setUint8(13, (packet.keyframe ? 1 : 0) | (packet.lastOfShot ? 2 : 0));
  view.setBigUint64(14, BigInt(packet.timestampMicroseconds), true);
  new Uint8Array(bytes, HEADER_BYTES).set(packet.payload);
  return bytes;
}
