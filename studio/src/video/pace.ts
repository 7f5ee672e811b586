/** When a decoded frame is due. */

import type { Position } from "./packet";

/** A decoded frame that waits to be shown. */
export interface Picture extends Position {
  timestampMicroseconds: number;
}

const LONGEST_STEP_MS = 1000;

/**
 * A queue that hands frames out at the film's own pace.
 *
 * Frames of one take keep the distances of their timestamps; between takes lies one frame. A frame that comes
 * late is shown at once and the rest follows from there, so a stall is never caught up by rushing.
 */
export class Pace<P extends Picture> {
  private readonly waiting: P[] = [];
  private last?: { picture: P; dueMs: number };

  constructor(public fps: number) {}

  get length(): number {
    return this.waiting.length;
  }

  push(picture: P): void {
    this.waiting.push(picture);
  }

  /** Takes everything out, for the caller to close. */
  clear(): P[] {
    this.last = undefined;
    return this.waiting.splice(0);
  }

  /** Frames that are due by now, oldest first; only the last is worth painting. */
  due(nowMs: number): P[] {
    const ready: P[] = [];
    for (let picture = this.waiting[0]; picture; picture = this.waiting[0]) {
      const dueMs = this.dueMs(picture, nowMs);
      if (dueMs > nowMs) break;
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
    return this.last.dueMs + (usable ? stepMs : this.frameMs);
  }
}
