/** What the fake server's model would remember. */

import type { Memory, MemoryFrame, ShotCard } from "../src/protocol.ts";

const REMEMBERED = 6;
const LOCAL = 21;
const CHUNK = 3;

export class FakeMemory {
  private readonly kept: MemoryFrame[] = [];
  private references = 0;

  pin({ number, take }: ShotCard, frame: number): void {
    this.unpin(number, frame);
    this.kept.push({ shot: number, take, frame, source: "pin" });
  }

  unpin(shot: number, frame: number): void {
    const index = this.kept.findIndex((pinned) => pinned.shot === shot && pinned.frame === frame);
    if (index >= 0) this.kept.splice(index, 1);
  }

  refer(upload: string): void {
    this.references += 1;
    this.kept.push({ shot: 0, take: 0, frame: -this.references, source: "reference", upload });
  }

  /** What was kept, then the middle of the newest complete shots. */
  now(shots: ShotCard[]): Memory {
    const made = shots.filter((shot) => shot.frames > 0 && shot.state !== "live");
    const chosen = made.slice(-REMEMBERED + this.kept.length).map(({ number, take, frames }): MemoryFrame => {
      return { shot: number, take, frame: Math.floor(frames / 2), source: "rule" };
    });
    const frames = [...this.kept, ...chosen].slice(0, REMEMBERED);
    const live = shots.find((shot) => shot.state === "live");
    const local_used = Math.min(LOCAL, (live?.chunks ?? 0) * CHUNK);
    return { frames, global_used: frames.length, global_size: REMEMBERED, local_used, local_size: LOCAL };
  }
}
