/** How far the telling of all shots is. */

import { type StoryState, inFilm, isRunning } from "./state";

export interface Progress {
  /** The shot that is made, counted from 1. */
  shot: number;
  of: number;
  /** The share of all that is planned that is made, 0 to 1. */
  made: number;
  /** Until all is made, at the pace of now; nothing while nobody can know. */
  secondsLeft?: number;
}

/** Nothing unless shots are made, and more than one is planned. */
export function progressOf(state: StoryState): Progress | undefined {
  const shots = inFilm(state.shots);
  const at = shots.findIndex(({ state: is }) => is === "live" || is === "queued");
  if (!isRunning(state) || !state.stage || at < 0 || shots.length < 2) return undefined;
  const { fps } = state.stage;
  const frames = shots.map((shot) => ({
    made: shot.state === "queued" ? 0 : shot.frames,
    all: shot.state === "live" || shot.state === "queued" ? shot.length_seconds * fps : shot.frames,
  }));
  const sum = (of: "made" | "all") => frames.reduce((total, shot) => total + shot[of], 0);
  const [made, all] = [sum("made"), sum("all")];
  const perSecond = Math.min(fps, state.figures?.frames_per_second || fps); // no more is made than is watched
  const isKnown = state.telling === "shooting" || state.telling === "cutting";
  return {
    shot: at + 1,
    of: shots.length,
    made: all > 0 ? Math.min(1, made / all) : 0,
    ...(isKnown && { secondsLeft: Math.max(0, all - made) / perSecond }),
  };
}
