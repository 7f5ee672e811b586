/** Where frames become visible. */

import type { Packet, Position } from "./packet";

/** Shows encoded frames: `CanvasScreen` by WebCodecs, `MseScreen` where there are none. */
export interface Screen {
  /** Whether more frames should be given now. */
  wantsMore(): boolean;
  /** Takes a frame; it becomes visible when it is due. */
  show(packet: Packet): void;
  /** Shows the last of these frames alone; the first is a keyframe. */
  still(packets: Packet[]): void;
  /** Makes visible what is due; returns what became visible, if anything did. */
  paint(nowMs: number): Position | undefined;
  /** Shows nothing beyond the chunk that is visible until `release`, and its rest so many times as fast. */
  awaitTurn(rate: number): void;
  release(): void;
  /** Drops the frames of a take from this one on that are not visible yet. */
  drop(from: Position): void;
  /** Drops everything that is not visible yet. */
  clear(): void;
  close(): void;
}

/** What this browser can show frames with here: a canvas (WebCodecs), a video element (MSE), or nothing. */
export function screenKind(): "canvas" | "video" | undefined {
  if ("VideoDecoder" in globalThis) return "canvas";
  return "MediaSource" in globalThis ? "video" : undefined;
}

const INSECURE = "Browsers decode single frames only on https or localhost.";
const OLD = "This browser cannot decode single frames (WebCodecs is missing).";

/** What the person should know about the picture, if anything: a sentence or two. */
export function pictureNote(): string | undefined {
  const kind = screenKind();
  if (kind === "canvas") return undefined;
  const why = globalThis.isSecureContext ? OLD : INSECURE;
  return kind === "video"
    ? `${why} The picture comes as a stream instead, and a little later.`
    : `${why} Chrome, Edge, Firefox 130 or Safari 16.4 can show the picture; everything else works here too.`;
}
