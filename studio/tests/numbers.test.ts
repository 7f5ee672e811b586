import { expect, it } from "vitest";
import type { ShotCard } from "../src/protocol";
import { filmLength, numberOf } from "../src/story/numbers";
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

it("a skipped shot waits, also while no shot is made", () => {
  const skipped = card(1, "skipped", 0);
  expect(waitingShots([card(0), skipped])).toEqual([skipped]);
  expect(plannedOf(skipped).skipped).toBe(true);
  const [begun, waits] = [card(1, "queued", 0), card(3, "queued", 0)];
  expect(waitingShots([card(0), begun, { ...skipped, number: 2 }, waits])).toHaveLength(2);
});
