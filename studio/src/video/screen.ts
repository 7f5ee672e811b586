/** Where frames become visible. */

import type { Packet, Position } from "./packet";

/**
 * Shows encoded frames.
 *
 * `CanvasScreen` is the one that there is. A screen over Media Source Extensions, for browsers and addresses
 * without WebCodecs, has the same five methods: it would wrap frames into fragments in `show`, count the
 * buffered seconds in `wantsMore`, and read the position from its video element in `paint`.
 */
export interface Screen {
  /** Whether more frames should be given now. */
  wantsMore(): boolean;
  /** Takes a frame; it becomes visible when it is due. */
  show(packet: Packet): void;
  /** Makes visible what is due; returns what became visible, if anything did. */
  paint(nowMs: number): Position | undefined;
  /** Drops everything that is not visible yet. */
  clear(): void;
  close(): void;
}

/** Why this browser cannot show video here, or nothing if it can. */
export function whyNoVideo(): string | undefined {
  if (__RAW_FRAMES__ || "VideoDecoder" in globalThis) return undefined;
  return globalThis.isSecureContext
    ? "This browser cannot decode video in a page (WebCodecs is missing). Chrome, Edge, Firefox 130 or Safari 16.4 can."
    : "Browsers decode video only on https or localhost. Open this page by one of these.";
}
