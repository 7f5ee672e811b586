/** Places in the whole story, counted in frames from its beginning. */

import type { ShotCard } from "../protocol";
import type { Position } from "../video/packet";
import { inFilm } from "./state";

/** The shots that have pictures, in order. */
export const madeShots = (shots: ShotCard[]) => inFilm(shots).filter(({ frames }) => frames > 0);

export const framesOf = (shots: ShotCard[]) => shots.reduce((sum, { frames }) => sum + frames, 0);

/** How many frames of the story come before this one. */
export function frameAt(shots: ShotCard[], { shot, frame }: Position): number {
  return framesOf(shots.filter(({ number }) => number < shot)) + frame;
}

/** The frame at this place, or the nearest there is; nothing without shots. */
export function positionAt(shots: ShotCard[], place: number): Position | undefined {
  let left = Math.max(0, Math.floor(place));
  for (const { number, take, frames } of shots) {
    if (left < frames) return { shot: number, take, frame: left };
    left -= frames;
  }
  const last = shots.at(-1);
  return last && { shot: last.number, take: last.take, frame: last.frames - 1 };
}

/** Whether this is the last frame of its shot, which is over. */
export function endsShot(shots: ShotCard[], { shot, frame }: Position): boolean {
  const card = shots.find(({ number }) => number === shot);
  return card !== undefined && card.state !== "live" && frame >= card.frames - 1;
}

/** Whether this is the last frame of all. */
export const endsStory = (shots: ShotCard[], position: Position) =>
  position.shot === shots.at(-1)?.number && endsShot(shots, position);

/** Minutes and seconds, as players show them. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds + 0.001);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
