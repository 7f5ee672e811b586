import { expect, it } from "vitest";
import type { ShotCard } from "../src/protocol";
import { filmLength, inOrder, moveTo, numberOf, shotsFrom } from "../src/story/numbers";
import { plannedOf, waitingShots } from "../src/story/script";

const card = (number: number, state: ShotCard["state"] = "done", chunks = 2): ShotCard => ({
  number,
  prompt: `Shot ${number}.`,
  prompts: [],
  length_seconds: 3,
  seed: 0,
  take: 0,
  takes: 1,
  made: [],
  continuity: [],
  references: [],
  state,
  chunks,
  frames: 10 * chunks,
  in_frame: 0,
});

it("numbers follow the order of the film", () => {
  const shots = [card(0), card(1, "deleted"), card(2), card(3, "skipped", 0), card(4, "queued", 0)];
  expect([0, 2, 4].map((shot) => numberOf(shots, shot))).toEqual([1, 2, 3]);
  expect(filmLength(shots)).toBe(3);
});

it("numbers follow the order of the film where shots were moved", () => {
  const at = (number: number, place: number, state: ShotCard["state"] = "done") => ({
    ...card(number, state),
    place,
  });
  const shots = inOrder([card(0), at(1, 2, "deleted"), at(2, 3), at(3, 1), card(4, "queued", 0)]);
  expect(shots.map(({ number }) => number)).toEqual([0, 3, 1, 2, 4]);
  expect([0, 3, 2, 4, 5].map((shot) => numberOf(shots, shot))).toEqual([1, 2, 3, 4, 5]);
  expect(shotsFrom(shots, 1).map(({ number }) => number)).toEqual([1, 2, 4]);
});

it("a shot comes to a place among the told ones", () => {
  const told = [card(0), card(3), card(2)];
  expect(moveTo(told, 2, 0)).toEqual({ type: "move", shot: 2, before: 0 });
  expect(moveTo(told, 0, 1)).toEqual({ type: "move", shot: 0, before: 2 });
  expect(moveTo(told, 0, 2)).toEqual({ type: "move", shot: 0, before: null });
});

it("a skipped shot waits, also while no shot is made", () => {
  const skipped = card(1, "skipped", 0);
  expect(waitingShots([card(0), skipped])).toEqual([skipped]);
  expect(plannedOf(skipped).skipped).toBe(true);
  const [begun, waits] = [card(1, "queued", 0), card(3, "queued", 0)];
  expect(waitingShots([card(0), begun, { ...skipped, number: 2 }, waits])).toHaveLength(2);
});
