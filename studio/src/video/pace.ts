/** When a decoded frame is due. */

import { type Position, isFrom } from "./packet";

/** A decoded frame that waits to be shown. */
export interface Picture extends Position {
  timestampMicroseconds: number;
  /** Whether a chunk begins with it. */
  keyframe: boolean;
}

const LONGEST_STEP_MS = 1000;

/**
 * A queue that hands frames out at the film's own pace.
 *
 * Frames of one take keep the distances of their timestamps; between takes lies one frame. A frame that comes
 * late is shown at once and the rest follows from there, so a stall is never caught up by rushing.
 *
 * While an order is on its way to the server, it stays inside the chunk on the screen (`awaitTurn`): what comes
 * after may be put aside. The rest of that chunk may be played faster, so that the picture turns sooner.
 */
export class Pace<P extends Picture> {
  private readonly waiting: P[] = [];
  private last?: { picture: P; dueMs: number };
  private stays = false;
  private rate = 1;

  constructor(public fps: number) {}

  get length(): number {
    return this.waiting.length;
  }

  push(picture: P): void {
    this.waiting.push(picture);
  }

  /** Goes no further than the chunk on the screen until `release`, and so many times as fast to its end. */
  awaitTurn(rate: number): void {
    this.stays = true;
    this.rate = rate;
  }

  release(): void {
    this.stays = false;
  }

  /** Takes out the frames of a take from this one on, for the caller to close. */
  drop(from: Position): P[] {
    const gone = this.waiting.filter((picture) => isFrom(picture, from));
    this.waiting.splice(0, this.waiting.length, ...this.waiting.filter((picture) => !isFrom(picture, from)));
    return gone;
  }

  /** Takes everything out, for the caller to close. */
  clear(): P[] {
    this.last = undefined;
    this.stays = false;
    this.rate = 1;
    return this.waiting.splice(0);
  }

  /** Frames that are due by now, oldest first; only the last is worth painting. */
  due(nowMs: number): P[] {
    const ready: P[] = [];
    for (let picture = this.waiting[0]; picture; picture = this.waiting[0]) {
      if (picture.keyframe && this.last && this.stays) break;
      const dueMs = this.dueMs(picture, nowMs);
      if (dueMs > nowMs) break;
      if (picture.keyframe) this.rate = 1;
      this.waiting.shift();
      this.last = { picture, dueMs: nowMs - dueMs > 2 * this.frameMs ? nowMs : dueMs };
      ready.push(picture);
    }
    return ready;
  }

  private get frameMs(): number {
    return 1000 / this.fps;
  }

  private dueMs(picture: P, nowMs: number): number {
    if (!this.last) return nowMs;
    const before = this.last.picture;
    const sameTake = before.shot === picture.shot && before.take === picture.take;
    const stepMs = (picture.timestampMicroseconds - before.timestampMicroseconds) / 1000;
    const usable = sameTake && stepMs > 0 && stepMs <= LONGEST_STEP_MS;
    return this.last.dueMs + (usable ? stepMs : this.frameMs) / this.rate;
  }
}
