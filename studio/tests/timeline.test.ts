import { expect, it } from "vitest";
import type { ShotCard } from "../src/protocol";
import {
  clock,
  endsShot,
  endsStory,
  frameAt,
  framesOf,
  madeShots,
  neighbour,
  positionAt,
  withPoint,
} from "../src/story/timeline";

const card = (number: number, frames: number, state: ShotCard["state"] = "done"): ShotCard => ({
  number,
  prompt: "",
  prompts: [],
  length_seconds: 3,
  seed: 0,
  take: number,
  takes: 1,
  made: [],
  continuity: [],
  references: [],
  state,
  chunks: 1,
  frames,
  in_frame: 0,
});
const shots = madeShots([card(0, 33), card(1, 9, "deleted"), card(2, 21), card(3, 0, "queued")]);

it("counts frames over all shots that are in the film", () => {
  expect(shots.map(({ number }) => number)).toEqual([0, 2]);
  expect(framesOf(shots)).toBe(54);
  expect(frameAt(shots, { shot: 2, take: 2, frame: 4 })).toBe(37);
});

it("every place has a frame, and every frame its place", () => {
  for (let place = 0; place < 54; place++) expect(frameAt(shots, positionAt(shots, place)!)).toBe(place);
  expect(positionAt(shots, 33)).toEqual({ shot: 2, take: 2, frame: 0 });
  expect(positionAt(shots, 99)).toEqual({ shot: 2, take: 2, frame: 20 });
  expect(positionAt([], 0)).toBeUndefined();
});

it("knows where a shot ends, and where the story does", () => {
  expect(endsShot(shots, { shot: 0, take: 0, frame: 32 })).toBe(true);
  expect(endsShot(shots, { shot: 0, take: 0, frame: 31 })).toBe(false);
  expect(endsStory(shots, { shot: 0, take: 0, frame: 32 })).toBe(false);
  expect(endsStory(shots, { shot: 2, take: 2, frame: 20 })).toBe(true);
  expect(endsStory([card(0, 9, "live")], { shot: 0, take: 0, frame: 8 })).toBe(false);
});

it("a trimmed shot is as long as what the film shows of it", () => {
  const film = [{ ...card(0, 10), in_frame: 2, out_frame: 6 }, card(1, 4)];
  expect(framesOf(film)).toBe(9);
  for (let place = 0; place < 9; place++) expect(frameAt(film, positionAt(film, place)!)).toBe(place);
  expect(positionAt(film, 0)).toEqual({ shot: 0, take: 0, frame: 2 });
  expect(frameAt(film, { shot: 0, take: 0, frame: 9 })).toBe(4);
  expect(endsShot(film, { shot: 0, take: 0, frame: 6 })).toBe(true);
  expect(framesOf([{ ...card(0, 3), in_frame: 5, out_frame: 9 }])).toBe(1);
});

it("follows the order of the film where shots were moved", () => {
  const film = [card(2, 3), card(0, 4), card(1, 5)];
  expect(frameAt(film, { shot: 0, take: 0, frame: 1 })).toBe(4);
  for (let place = 0; place < 12; place++) expect(frameAt(film, positionAt(film, place)!)).toBe(place);
  expect(neighbour(film, { shot: 2, take: 2, frame: 2 }, 1)).toEqual({ shot: 0, take: 0, frame: 0 });
  expect(neighbour(film, { shot: 0, take: 0, frame: 0 }, -1)).toEqual({ shot: 2, take: 2, frame: 2 });
  expect(neighbour(film, { shot: 1, take: 1, frame: 4 }, 1)).toBeUndefined();
  expect(endsStory(film, { shot: 1, take: 1, frame: 4 })).toBe(true);
  expect(endsStory(film, { shot: 2, take: 2, frame: 2 })).toBe(false);
});

it("sets a point at a frame, and lets the other go where it would lie behind", () => {
  const shot = { ...card(0, 10), in_frame: 2, out_frame: 6 };
  expect(withPoint(shot, "in", 4)).toEqual({ in_frame: 4, out_frame: 6 });
  expect(withPoint(shot, "in", 8)).toEqual({ in_frame: 8 });
  expect(withPoint(shot, "out", 9)).toEqual({ in_frame: 2 });
  expect(withPoint(shot, "out", 1)).toEqual({ in_frame: 0, out_frame: 1 });
});

it("writes minutes and seconds", () => {
  expect([0, 5.96, 60, 754].map(clock)).toEqual(["0:00", "0:05", "1:00", "12:34"]);
});
