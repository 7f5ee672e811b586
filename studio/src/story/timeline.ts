/** Places in the film, counted in frames from its beginning: of every shot, what lies between its points. */

import type { ShotCard } from "../protocol";
import type { Position } from "../video/packet";
import { shotsBefore } from "./numbers";
import { inFilm } from "./state";

/** The shots that have pictures, in order. */
export const madeShots = (shots: ShotCard[]) => inFilm(shots).filter(({ frames }) => frames > 0);

/** The first and the last frame of a shot's take that the film shows; the shot has pictures. */
export function shownOf({ frames, in_frame, out_frame }: ShotCard): { first: number; last: number } {
  const last = Math.min(out_frame ?? frames - 1, frames - 1);
  return { first: Math.max(0, Math.min(in_frame, last)), last };
}

/** How many frames of a shot the film shows. */
export function shownFrames(shot: ShotCard): number {
  const { first, last } = shownOf(shot);
  return last - first + 1;
}

/** Whether the film shows less of a shot than was made. */
export const isTrimmed = (shot: ShotCard) => shot.frames > 0 && shownFrames(shot) < shot.frames;

export const framesOf = (shots: ShotCard[]) => shots.reduce((sum, shot) => sum + shownFrames(shot), 0);

/** How many frames of the film come before this one; one that the film does not show is taken for the nearest. */
export function frameAt(shots: ShotCard[], { shot, frame }: Position): number {
  const here = shots.find(({ number }) => number === shot);
  const earlier = framesOf(shotsBefore(shots, shot));
  if (!here) return earlier;
  const { first, last } = shownOf(here);
  return earlier + Math.min(Math.max(frame, first), last) - first;
}

/** The frame at this place, or the nearest there is; nothing without shots. */
export function positionAt(shots: ShotCard[], place: number): Position | undefined {
  let left = Math.max(0, Math.floor(place));
  for (const shot of shots) {
    const length = shownFrames(shot);
    if (left < length) return { shot: shot.number, take: shot.take, frame: shownOf(shot).first + left };
    left -= length;
  }
  const last = shots.at(-1);
  return last && { shot: last.number, take: last.take, frame: shownOf(last).last };
}

/** Whether this is the last frame of its shot, which is over. */
export function endsShot(shots: ShotCard[], { shot, frame }: Position): boolean {
  const card = shots.find(({ number }) => number === shot);
  return card !== undefined && card.state !== "live" && frame >= shownOf(card).last;
}

/** Whether this is the last frame of all. */
export const endsStory = (shots: ShotCard[], position: Position) =>
  position.shot === shots.at(-1)?.number && endsShot(shots, position);

/** The frame before (`by` -1) or after (1) another, over the borders of shots; nothing at the story's ends. */
export function neighbour(shots: ShotCard[], at: Position, by: 1 | -1): Position | undefined {
  const made = shots.filter((shot) => shot.frames > 0);
  const here = made.find(({ number }) => number === at.shot);
  const earlier = shotsBefore(made, at.shot);
  const frame = at.frame + by;
  if (here && frame >= shownOf(here).first && frame <= shownOf(here).last) return { ...at, frame };
  const next = by > 0 ? made[earlier.length + (here ? 1 : 0)] : earlier.at(-1);
  return (
    next && {
      shot: next.number,
      take: next.take,
      frame: by > 0 ? shownOf(next).first : shownOf(next).last,
    }
  );
}

/** The points of a shot with its in or out point at a frame; one that the other would lie behind goes. */
export function withPoint(shot: ShotCard, point: "in" | "out", frame: number) {
  const { first, last } = shownOf(shot);
  const [from, to] = point === "in" ? [frame, last < frame ? shot.frames - 1 : last] : [first, frame];
  return pointsOf(shot, from > to ? 0 : from, to);
}

/** As a `trim` says it: the last frame of a take is no out point, as the take may get longer. */
export const pointsOf = ({ frames }: ShotCard, in_frame: number, last: number) => ({
  in_frame,
  ...(last < frames - 1 && { out_frame: last }),
});

/** Minutes and seconds, as players show them. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds + 0.001);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
