/** Where shots stand in the film: the number that people see is a place, the server's stays. */

import type { ShotCard } from "../protocol";

/** Whether a shot has a place in the film: it was not deleted, and is not skipped. */
const hasPlace = ({ state }: ShotCard) => state !== "deleted" && state !== "skipped";

/** Where a shot stands among all, those that are deleted too; its number where none was moved. */
const placeOf = ({ place, number }: ShotCard) => place ?? number;

/** Cards in the order of the film. */
export const inOrder = (shots: ShotCard[]) =>
  [...shots].sort((one, other) => placeOf(one) - placeOf(other) || one.number - other.number);

/** The shots that stand before one, of some in the order of the film; those with lower numbers if it is not there. */
export function shotsBefore(shots: ShotCard[], shot: number): ShotCard[] {
  const at = shots.findIndex(({ number }) => number === shot);
  return at < 0 ? shots.filter(({ number }) => number < shot) : shots.slice(0, at);
}

/** A shot and those that stand after it, likewise. */
export const shotsFrom = (shots: ShotCard[], shot: number) => shots.slice(shotsBefore(shots, shot).length);

/** The number of the shot that the server calls `shot`, from 1; of one that is deleted, where it would be. */
export const numberOf = (shots: ShotCard[], shot: number) =>
  shotsBefore(shots, shot).filter(hasPlace).length + 1;

/** How many shots the film will have. */
export const filmLength = (shots: ShotCard[]) => shots.filter(hasPlace).length;

/** The order by which a shot comes to a place among the told ones of the film, from 0. */
export function moveTo(told: ShotCard[], shot: number, place: number) {
  const others = told.filter(({ number }) => number !== shot);
  return { type: "move" as const, shot, before: others[place]?.number ?? null };
}
