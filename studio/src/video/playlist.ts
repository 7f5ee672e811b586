/** Which frame is decoded next. */

import { type Packet, type Position, isFrom } from "./packet";

/**
 * Frames that wait for the decoder.
 *
 * Following the telling, it skips to the newest keyframe when too much waits; playing again, it takes its time.
 * A frame that builds on a missing one is never handed out.
 */
export class Playlist {
  private waiting: Packet[] = [];
  private previous?: Packet;
  private again = false;

  /** @param mostWaiting frames behind the telling that are too many. */
  constructor(private readonly mostWaiting: number) {}

  get length(): number {
    return this.waiting.length;
  }

  /** Whether earlier frames are being played again. */
  get isReplay(): boolean {
    return this.again;
  }

  push(packet: Packet): void {
    this.waiting.push(packet);
  }

  /** Plays these instead, then whatever comes in. */
  replay(packets: Packet[]): void {
    this.waiting = [...packets];
    this.previous = undefined;
    this.again = packets.length > 0;
  }

  /** Skips what waits and follows the telling again, from the newest keyframe. */
  follow(): void {
    this.again = false;
    this.previous = undefined;
    this.skipTo(this.newestKeyframe());
  }

  /** Takes out the frames of a take from this one on. */
  drop(from: Position): void {
    this.waiting = this.waiting.filter((packet) => !isFrom(packet, from));
    if (this.previous && isFrom(this.previous, from)) this.previous = undefined;
  }

  /** After a decoder's error: nothing is handed out until the next keyframe. */
  breakOff(): void {
    this.previous = undefined;
  }

  /** The next frame that can be decoded, if one is here. */
  next(hurries = true): Packet | undefined {
    if (hurries && !this.again && this.waiting.length > this.mostWaiting) this.skipTo(this.newestKeyframe());
    while (this.waiting.length > 0) {
      const packet = this.waiting.shift()!;
      if (packet.keyframe || this.continues(packet)) {
        this.previous = packet;
        return packet;
      }
    }
    this.again = false;
    return undefined;
  }

  private continues(packet: Packet): boolean {
    const before = this.previous;
    if (!before) return false;
    return packet.shot === before.shot && packet.take === before.take && packet.frame === before.frame + 1;
  }

  private newestKeyframe(): number {
    return this.waiting.findLastIndex((packet) => packet.keyframe);
  }

  private skipTo(index: number): void {
    if (index > 0) this.waiting = this.waiting.slice(index);
  }
}
