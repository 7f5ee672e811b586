/** Which frame a video element shows, when takes were put into it one after another. */

import type { Packet, Position } from "./packet";

/** Frames of one take in a row, and where they begin in the video element's time. */
export interface Stretch {
  from: Position;
  /** How many of its frames are known to be made. */
  frames: number;
  /** Unknown until its first bytes are in the buffer. */
  startSeconds?: number;
  /** How many frames its film had; unknown while the film comes in. */
  endFrames?: number;
}

export class Stretches {
  private readonly list: Stretch[] = [];

  constructor(private readonly fps: number) {}

  /** Takes the next frame; returns the stretch that it opens, or nothing if it goes on with the last one. */
  take({ shot, take, frame }: Packet): Stretch | undefined {
    const last = this.list.at(-1);
    const next = last && last.from.frame + last.frames;
    const isOver = last && last.endFrames !== undefined && last.endFrames <= last.frames;
    if (last && !isOver && last.from.shot === shot && last.from.take === take && next === frame) {
      last.frames += 1;
      return undefined;
    }
    const opened: Stretch = { from: { shot, take, frame }, frames: 1 };
    this.list.push(opened);
    return opened;
  }

  /**
   * Notes where a stretch's film ended, which may be too early: films leave out what is fetched too slowly.
   *
   * @returns the stretch of the frames that are missing, if any are.
   */
  end(stretch: Stretch, endFrames: number): Stretch | undefined {
    stretch.endFrames = endFrames;
    const missing = stretch.frames - endFrames;
    const at = this.list.indexOf(stretch);
    if (missing <= 0 || endFrames === 0 || at < 0) return undefined;
    stretch.frames = endFrames;
    const rest = { from: { ...stretch.from, frame: stretch.from.frame + endFrames }, frames: missing };
    this.list.splice(at + 1, 0, rest);
    return rest;
  }

  /** The frame that is seen at this time. */
  positionAt(seconds: number): Position | undefined {
    const stretch = this.at(seconds);
    return stretch && { ...stretch.from, frame: stretch.from.frame + this.index(stretch, seconds) };
  }

  /** The middle of a frame, in seconds; nothing if it is not in the buffer. */
  timeOf({ shot, take, frame }: Position): number | undefined {
    const stretch = this.list.find(
      ({ from, frames, startSeconds }) =>
        startSeconds !== undefined &&
        from.shot === shot &&
        from.take === take &&
        from.frame <= frame &&
        frame < from.frame + frames,
    );
    return stretch && stretch.startSeconds! + (frame - stretch.from.frame + 0.5) / this.fps;
  }

  /** How many frames were taken and not seen yet. */
  unseen(seconds: number): number {
    const current = this.at(seconds);
    const later = this.list.slice(current ? this.list.indexOf(current) : 0);
    const taken = later.reduce((sum, { frames }) => sum + frames, 0);
    return taken - (current ? this.index(current, seconds) + 1 : 0);
  }

  clear(): void {
    this.list.length = 0;
  }

  private at(seconds: number): Stretch | undefined {
    return this.list.findLast(({ startSeconds }) => startSeconds !== undefined && startSeconds <= seconds);
  }

  private index({ startSeconds, frames }: Stretch, seconds: number): number {
    return Math.min(frames - 1, Math.floor((seconds - startSeconds!) * this.fps + 0.01));
  }
}
