/** The frames that came in, kept so that a shot can be played again without asking the server. */

import type { ChunkOfShot, ShotEntry } from "../protocol";
import type { Packet } from "./packet";

const key = (shot: number, take: number) => `${shot}/${take}`;

/** Encoded frames by shot and take; when they take too much room, the takes that came first go. */
export class Reel {
  private readonly takes = new Map<string, Map<number, Packet>>();
  private bytes = 0;

  constructor(private readonly roomBytes = 96 * 2 ** 20) {}

  /** Keeps a frame; false if it was here already (a reconnect sends whole chunks). */
  add(packet: Packet): boolean {
    const name = key(packet.shot, packet.take);
    const frames = this.takes.get(name) ?? new Map<number, Packet>();
    if (frames.has(packet.frame)) return false;
    this.takes.set(name, frames.set(packet.frame, packet));
    this.bytes += packet.payload.length;
    while (this.bytes > this.roomBytes && this.takes.size > 1) this.forgetOldest();
    return true;
  }

  /** The frames of these shots' takes, in the order of the story. */
  from(shots: ShotEntry[]): Packet[] {
    return shots.flatMap(({ number, take }) => {
      const frames = this.takes.get(key(number, take));
      return frames ? [...frames.values()].sort((one, other) => one.frame - other.frame) : [];
    });
  }

  /** Whether any frame of this shot's take is here. */
  has({ number, take }: ShotEntry): boolean {
    return this.takes.has(key(number, take));
  }

  /** The last chunk of the last shot that is here whole: what a new connection need not send again. */
  lastWholeChunk(shots: ShotEntry[]): ChunkOfShot | undefined {
    const whole = shots.findLast((shot) => shot.chunks > 0 && this.reaches(shot));
    return whole && { shot: whole.number, take: whole.take, chunk: whole.chunks - 1 };
  }

  private reaches({ number, take, frames }: ShotEntry): boolean {
    return this.takes.get(key(number, take))?.has(frames - 1) ?? false;
  }

  private forgetOldest(): void {
    const [name, frames] = this.takes.entries().next().value!;
    for (const packet of frames.values()) this.bytes -= packet.payload.length;
    this.takes.delete(name);
  }
}
