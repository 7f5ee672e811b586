/** The number of a shot that people see: its place in the film. */

import type { ShotCard } from "../protocol";

/** Whether a shot has a place in the film: it was not deleted, and is not skipped. */
const hasPlace = ({ state }: ShotCard) => state !== "deleted" && state !== "skipped";

/** The number of the shot that the server calls `shot`, from 1; as the server counts where it has no place. */
export function numberOf(shots: ShotCard[], shot: number): number {
  const place = shots.filter(hasPlace).findIndex(({ number }) => number === shot);
  return place < 0 ? shot + 1 : place + 1;
}

/** How many shots the film will have. */
export const filmLength = (shots: ShotCard[]) => shots.filter(hasPlace).length;
