/** The number of a shot that people see: its place in the film. */

import type { ShotCard } from "../protocol";

/** Whether a shot has a place in the film: it was not deleted, and is not skipped. */
const hasPlace = ({ state }: ShotCard) => state !== "deleted" && state !== "skipped";

/** The number of the shot that the server calls `shot`, from 1; of one that is deleted, where it would be. */
export const numberOf = (shots: ShotCard[], shot: number) =>
  shots.filter((card) => hasPlace(card) && card.number < shot).length + 1;

/** How many shots the film will have. */
export const filmLength = (shots: ShotCard[]) => shots.filter(hasPlace).length;
