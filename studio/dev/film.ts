/** The frames of a fake shot, and how they travel. */

import type { ShotCard } from "../src/protocol.ts";
import { KIND, writePacket } from "../src/video/packet.ts";
import { HEIGHT, WIDTH, drawFrame } from "./drawing.ts";

export const FPS = 12;
export const CHUNK_FRAMES = 12;

/** The pixels of a frame, by the words that hold for its chunk. */
export function filmFrame(setting: string, shot: ShotCard, frame: number): Uint8Array {
  const chunk = Math.floor(frame / CHUNK_FRAMES);
  const prompt = shot.prompts.findLast(([from]) => from <= chunk)?.[1] ?? shot.prompt;
  return drawFrame(setting, prompt, shot.seed, frame / FPS);
}

/** A frame as the page's `RawDecoder` reads it. */
export function filmPacket(setting: string, shot: ShotCard, frame: number, lastOfShot = false): ArrayBuffer {
  const size = Buffer.alloc(4);
  size.writeUInt16LE(WIDTH, 0);
  size.writeUInt16LE(HEIGHT, 2);
  return writePacket({
    kind: KIND.rawForDevelopment,
    shot: shot.number,
    take: shot.take,
    frame,
    keyframe: frame % CHUNK_FRAMES === 0,
    lastOfShot,
    timestampMicroseconds: Math.round((frame / FPS) * 1e6),
    payload: new Uint8Array([...size, ...filmFrame(setting, shot, frame)]),
  });
}
