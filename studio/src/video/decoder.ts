/** Encoded frames to pictures, in order. */

import type { Picture } from "./pace";
import { type Packet, type Position, isFrom } from "./packet";

/** A picture that can be painted once and must be closed. */
export interface Decoded extends Picture {
  image: CanvasImageSource;
  width: number;
  height: number;
  hidden?: boolean;
  close(): void;
}

/**
 * The codec string of an H.264 keyframe in Annex B form, read from its sequence parameter set.
 *
 * @returns for example `avc1.42c01e`, or nothing if there is no parameter set.
 */
export function codecOf(annexB: Uint8Array): string | undefined {
  for (let at = 0; at + 6 < annexB.length; at++) {
    const startCode = annexB[at] === 0 && annexB[at + 1] === 0 && annexB[at + 2] === 1;
    if (!startCode || (annexB[at + 3]! & 31) !== 7) continue;
    const profile = annexB.subarray(at + 4, at + 7);
    return `avc1.${Array.from(profile, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }
  return undefined;
}

/** H.264 by the browser's own decoder. */
export class H264Decoder {
  private decoder?: VideoDecoder;
  private codec?: string;
  private ticket = 0;
  private readonly positions = new Map<number, Packet>();

  constructor(
    private readonly decoded: (picture: Decoded) => void,
    private readonly failed: (message: string) => void,
  ) {}

  get backlog(): number {
    return this.decoder?.decodeQueueSize ?? 0;
  }

  decode(packet: Packet): void {
    if (packet.keyframe) this.prepareFor(packet.payload);
    if (this.decoder?.state !== "configured") return;
    const ticket = this.ticket++;
    this.positions.set(ticket, packet);
    const type = packet.keyframe ? "key" : "delta";
    this.decoder.decode(new EncodedVideoChunk({ type, timestamp: ticket, data: packet.payload }));
    if (packet.lastOfShot) this.flush();
  }

  flush(): void {
    if (this.decoder?.state === "configured") this.decoder.flush().catch(() => undefined); // ended by a reset
  }

  /** Hands out no frames of a take from this one on that are being decoded. */
  drop(from: Position): void {
    for (const [ticket, packet] of this.positions) if (isFrom(packet, from)) this.positions.delete(ticket);
  }

  reset(): void {
    this.positions.clear();
    this.codec = undefined;
    if (this.decoder?.state === "configured") this.decoder.reset();
  }

  close(): void {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.positions.clear();
  }

  private prepareFor(keyframe: Uint8Array): void {
    const codec = codecOf(keyframe);
    if (!codec) return this.failed("A keyframe came without its parameter set.");
    if (codec === this.codec && this.decoder?.state === "configured") return;
    if (!this.decoder || this.decoder.state === "closed") this.decoder = this.open();
    this.decoder.configure({ codec, optimizeForLatency: true });
    this.codec = codec;
  }

  private open(): VideoDecoder {
    return new VideoDecoder({
      output: (frame) => this.output(frame),
      error: (error) => {
        this.codec = undefined;
        this.positions.clear();
        this.failed(error.message);
      },
    });
  }

  private output(frame: VideoFrame): void {
    const packet = this.positions.get(frame.timestamp);
    this.positions.delete(frame.timestamp);
    if (!packet) return frame.close();
    this.decoded({
      ...positionOf(packet),
      timestampMicroseconds: packet.timestampMicroseconds,
      keyframe: packet.keyframe,
      image: frame,
      width: frame.displayWidth,
      height: frame.displayHeight,
      hidden: packet.hidden,
      close: () => frame.close(),
    });
  }
}

/** Only the position of a frame. */
export function positionOf({ shot, take, frame }: Position): Position {
  return { shot, take, frame };
}
