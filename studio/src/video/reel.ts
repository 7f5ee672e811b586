/** The frames that came in, kept so that a shot can be played again without asking the server. */

import type { ChunkPlace, ShotCard } from "../protocol";
import { shownOf } from "../story/timeline";
import { type Packet, type Position, isFrom } from "./packet";

const key = (shot: number, take: number) => `${shot}/${take}`;

/** Encoded frames by shot and take; when they take too much room, the takes that came first go. */
export class Reel {
  private readonly takes = new Map<string, Map<number, Packet>>();
  private bytes = 0;
  /** The frame that came in last. */
  newest?: Packet;

  constructor(private readonly roomBytes = 96 * 2 ** 20) {}

  /** Keeps a frame; false if it was here already (a reconnect sends whole chunks). */
  add(packet: Packet): boolean {
    const name = key(packet.shot, packet.take);
    const frames = this.takes.get(name) ?? new Map<number, Packet>();
    if (frames.has(packet.frame)) return false;
    this.takes.set(name, frames.set(packet.frame, packet));
    this.bytes += packet.payload.length;
    this.newest = packet;
    while (this.bytes > this.roomBytes && this.takes.size > 1) this.forgetOldest();
    return true;
  }

  /** What the film shows of these shots' takes, in order: of the first from a frame on, with what it builds on. */
  from(shots: ShotCard[], frame = 0): Packet[] {
    return shots.flatMap((shot, place) => {
      const { first, last: end } = shownOf(shot);
      const last = shot.state === "live" ? Infinity : end; // more may be here than its card has counted
      const start = { shot: shot.number, take: shot.take, frame: place ? first : Math.max(first, frame) };
      const before = this.upTo(start).map((packet) => ({ ...packet, hidden: packet.frame < start.frame }));
      const after = [...(this.takes.get(key(start.shot, start.take))?.values() ?? [])]
        .filter((packet) => packet.frame > start.frame && packet.frame <= last)
        .sort((one, other) => one.frame - other.frame);
      const packets = [...before, ...after];
      const newest = packets.at(-1);
      if (shot.state === "live" || !newest) return packets;
      return [...packets.slice(0, -1), { ...newest, lastOfShot: true }];
    });
  }

  /** Whether every frame of this shot's take is here. */
  holds({ number, take, frames }: ShotCard): boolean {
    return frames > 0 && (this.takes.get(key(number, take))?.size ?? 0) >= frames;
  }

  /** From the keyframe that a frame builds on up to the frame itself; nothing if one of them is missing. */
  upTo({ shot, take, frame }: Position): Packet[] {
    const frames = this.takes.get(key(shot, take));
    const packets: Packet[] = [];
    for (let at = frame; at >= 0; at--) {
      const packet = frames?.get(at);
      if (!packet) return [];
      packets.unshift(packet);
      if (packet.keyframe) return packets;
    }
    return [];
  }

  /** The last chunk of the newest shot that is here whole: what a new connection need not send again. */
  lastWholeChunk(shots: ShotCard[]): ChunkPlace | undefined {
    const byNumber = [...shots].sort((one, other) => one.number - other.number);
    const whole = byNumber.findLast((shot) => shot.chunks > 0 && this.reaches(shot));
    return whole && { shot: whole.number, take: whole.take, chunk: whole.chunks - 1 };
  }

  /** Forgets the frames of a take from this one on: others come in their place. */
  drop(from: Position): void {
    const frames = this.takes.get(key(from.shot, from.take));
    for (const packet of frames?.values() ?? []) {
      if (!isFrom(packet, from)) continue;
      frames!.delete(packet.frame);
      this.bytes -= packet.payload.length;
    }
    if (frames && this.newest && isFrom(this.newest, from)) this.newest = [...frames.values()].at(-1);
  }

  private reaches({ number, take, frames }: ShotCard): boolean {
    return this.takes.get(key(number, take))?.has(frames - 1) ?? false;
  }

  private forgetOldest(): void {
    const [name, frames] = this.takes.entries().next().value!;
    for (const packet of frames.values()) this.bytes -= packet.payload.length;
    this.takes.delete(name);
  }
}
