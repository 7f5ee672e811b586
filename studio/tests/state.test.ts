import { describe, expect, it } from "vitest";
import type { Command, Event as ServerEvent, ShotCard } from "../src/protocol";
import { type StoryState, firstStale, isRunning, nothingYet, reduce } from "../src/story/state";

const shot = (number: number, more: Partial<ShotCard> = {}): ShotCard => ({
  number,
  prompt: `Shot ${number}.`,
  prompts: [[0, `Shot ${number}.`]],
  length_seconds: 3,
  seed: number,
  take: 0,
  takes: 1,
  made: [],
  continuity: [],
  references: [],
  state: "done",
  chunks: 3,
  frames: 33,
  in_frame: 0,
  ...more,
});
const said = (state: StoryState, ...events: ServerEvent[]) =>
  events.reduce((now, event) => reduce(now, { kind: "said", event }), state);
const sent = (state: StoryState, command: Command) => reduce(state, { kind: "sent", command });
const shoot: Command = { type: "shoot", id: "a", prompt: "The cat jumps." };

describe("an order that the picture turns for", () => {
  const redirect: Command = { type: "redirect", id: "b", prompt: "It sleeps." };
  const live: StoryState = { ...nothingYet, telling: "shooting", shots: [shot(0, { state: "live" })] };
  const receipt: ServerEvent = { type: "receipt", id: "b", applies_from: { shot: 0, frame: 21 } };

  it("is under way until it is on the screen", () => {
    const state = said(sent(live, redirect), receipt);
    expect(state.underWay).toEqual([redirect]);
    expect(said(state, { type: "shown", id: "b", prompt_to_glass_seconds: 0.4 }).underWay).toEqual([]);
  });

  it("is not where it is refused, shows nothing, waits its turn, or the story is paused", () => {
    const isRefused: ServerEvent = { type: "refused", id: "b", code: "busy", message: "" };
    expect(said(sent(live, redirect), isRefused).underWay).toEqual([]);
    const cut: Command = { type: "cut", id: "b" };
    expect(said(sent(live, cut), { type: "receipt", id: "b", applies_from: null }).underWay).toEqual([]);
    expect(sent(live, { ...shoot, after: true } as Command).underWay).toEqual([]);
    expect(sent(nothingYet, shoot).underWay).toEqual([]);
    const paused = sent(said(sent(live, redirect), receipt), { type: "pause", id: "c" });
    expect(said(paused, { type: "receipt", id: "c", applies_from: null }).underWay).toEqual([]);
  });
});

describe("answers", () => {
  it("a receipt ends the waiting and says where the order applies, counted from one", () => {
    const told = { ...nothingYet, shots: [shot(0), shot(1, { state: "deleted" }), shot(2)] };
    const state = said(sent(told, shoot), {
      type: "receipt",
      id: "a",
      applies_from: { shot: 3, frame: 0 },
    });
    expect(state.unanswered).toEqual([]);
    expect(state.notices[0]?.text).toBe("Your words play from the start of shot 3.");
  });

  it("a refusal gives the typed text back", () => {
    const state = said(sent(nothingYet, shoot), {
      type: "refused",
      id: "a",
      code: "busy",
      message: "Too many.",
    });
    expect(state.unanswered).toEqual([]);
    expect(state.notices[0]).toMatchObject({ tone: "wrong", text: "Too many.", typed: "The cat jumps." });
  });

  it("a move is told by the places of the film, and can be taken back", () => {
    const told = { ...nothingYet, shots: [shot(0), shot(1), shot(2)] };
    const moved = (number: number, place: number): ServerEvent => ({ ...shot(number), type: "shot", place });
    const changes = [moved(0, 1), moved(1, 2), moved(2, 0)];
    const receipt: ServerEvent = { type: "receipt", id: "a", applies_from: null };
    const state = said(sent(told, { type: "move", id: "a", shot: 2, before: 0 }), ...changes, receipt);
    expect(state.shots.map(({ number }) => number)).toEqual([2, 0, 1]);
    expect(state.notices[0]).toMatchObject({ text: "Shot 3 is shot 1 now.", undo: true });
    expect(state.undoable).toEqual(["story"]);
    const atEnd = said(sent(told, { type: "move", id: "b", shot: 0 }), { ...receipt, id: "b" });
    expect(atEnd.notices[0]?.text).toBe("Shot 1 is shot 3 now.");
    const refusal: ServerEvent = { type: "refused", id: "c", code: "not_now", message: "shot 3 is running" };
    const refused = said(sent(state, { type: "move", id: "c", shot: 2 }), refusal);
    expect(refused.notices.at(-1)).toMatchObject({ tone: "wrong", text: "shot 3 is running" });
    expect(refused.changing).toEqual({});
  });

  it("the first shot that is out of date is the first of the film", () => {
    const shots = [
      shot(2, { place: 0 }),
      shot(0, { place: 1, state: "stale" }),
      shot(1, { place: 2, state: "stale" }),
    ];
    expect(firstStale({ ...nothingYet, shots })?.number).toBe(0);
  });

  it("a new sound is told from one that is moved, though what changed comes before its receipt", () => {
    const rain = { sound: "rain", offset_seconds: 0, gain_db: 0 };
    const add = (id: string): Command => ({ type: "sound", id, ...rain });
    const sounds: ServerEvent = { type: "sounds", sounds: [rain] };
    const receipt = (id: string): ServerEvent => ({ type: "receipt", id, applies_from: null });
    const texts = ({ notices }: StoryState) => notices.map(({ text }) => text);
    const added = said(sent(nothingYet, add("a")), sounds, receipt("a"));
    expect(texts(added)).toEqual(["The sound is heard with the film."]);
    expect(texts(said(sent(nothingYet, add("a")), receipt("a"), sounds))).toEqual(texts(added));
    const moved = said(sent(added, add("b")), sounds, receipt("b"));
    expect(texts(moved)).toEqual(["The sound has changed."]);
    const both = said(sent(sent(nothingYet, add("a")), add("b")), sounds, receipt("a"), receipt("b"));
    expect(texts(both)).toEqual(["The sound has changed."]);
    expect(both.changing).toEqual({});
  });

  it("another's answer leaves an order waiting", () => {
    const state = said(sent(nothingYet, shoot), { type: "receipt", id: "b", applies_from: null });
    expect(state.unanswered).toEqual([shoot]);
    expect(state.notices).toEqual([]);
  });

  it("a branch's receipt names the story to go to", () => {
    const state = said(nothingYet, { type: "receipt", id: "b", applies_from: null, story: "abcdefghijkl" });
    expect(state.notices[0]?.story).toBe("abcdefghijkl");
    expect(state.branches).toBe(1);
  });

  it("keeps the newest three that ask for something, each with a number of its own", () => {
    const errors = ["a", "b", "c", "d"].map((message): ServerEvent => ({ type: "error", message }));
    const state = said(nothingYet, ...errors);
    expect(state.notices.map(({ number, text }) => [number, text])).toEqual([
      [1, "b"],
      [2, "c"],
      [3, "d"],
    ]);
    expect(reduce(state, { kind: "dismissed", notice: 2 }).notices).toHaveLength(2);
  });

  it("a story to go to stays, whatever goes wrong after it", () => {
    const errors = ["a", "b", "c", "d"].map((message): ServerEvent => ({ type: "error", message }));
    const state = said(
      nothingYet,
      { type: "receipt", id: "b", applies_from: null, story: "abcdefghijkl" },
      ...errors,
    );
    expect(state.notices.map(({ story, text }) => story ?? text)).toEqual(["abcdefghijkl", "b", "c", "d"]);
  });

  it("good news gives way to the next, what asks for an answer stays", () => {
    const note = (note: string): ServerEvent => ({ type: "receipt", id: "x", applies_from: null, note });
    const state = said(nothingYet, note("a"), { type: "error", message: "b" }, note("c"), note("d"));
    expect(state.notices.map(({ text }) => text)).toEqual(["b", "d"]);
  });

  it("a deleted shot can be brought back, and one that only waited can wait again", () => {
    const gone: Command = { type: "delete", id: "d", shot: 2 };
    const receipt: ServerEvent = { type: "receipt", id: "d", applies_from: null };
    expect(said(sent(nothingYet, gone), receipt).notices[0]?.undo).toBe(true);
    const undo: Command = { type: "undo", id: "u" };
    const undone = sent(said(sent(nothingYet, gone), receipt), undo);
    expect(said(undone, { ...receipt, id: "u" }).notices).toEqual([]);
    const busy = said(nothingYet, { type: "state", state: "shooting" });
    expect(said(sent(busy, gone), receipt).notices[0]?.undo).toBe(true);
  });

  it("another order of what waits can be taken back until all is told", () => {
    const plan: Command = { type: "replan", id: "p", from_shot: 1, shots: [] };
    const busy = said(nothingYet, { type: "state", state: "shooting" });
    const planned = said(sent(busy, plan), { type: "receipt", id: "p", applies_from: null });
    expect(planned.undoable).toEqual(["queue"]);
    expect(said(planned, { type: "state", state: "idle" }).undoable).toEqual([]);
  });

  it("every trim can be undone, one after the other, until something else is done", () => {
    const receipt = { type: "receipt", applies_from: null } as const;
    const done = (state: StoryState, command: Command) =>
      said(sent(state, command), { ...receipt, id: command.id });
    let state = done(nothingYet, { type: "trim", id: "i", shot: 0, in_frame: 3 });
    expect(state.notices[0]).toMatchObject({ text: "Shot 1 is trimmed.", undo: true });
    state = done(state, { type: "trim", id: "o", shot: 0 });
    expect(state.notices.at(-1)!.text).toBe("Shot 1 is whole again.");
    expect(state.undoable).toEqual(["story", "story"]);
    state = done(state, { type: "undo", id: "u" });
    expect([state.undoable, state.notices]).toEqual([["story"], []]);
    expect(done(state, { type: "pin", id: "p", shot: 0, frame: 0 }).undoable).toEqual([]);
  });

  it("a refused script comes back without what waits already", () => {
    const shots = [{ prompt: "Old.", seed: 1 }, { prompt: "One." }, { prompt: "Two." }];
    const plan: Command = { type: "replan", id: "p", from_shot: 1, shots };
    const waits = { ...nothingYet, shots: [shot(1, { prompt: "Old.", state: "queued" })] };
    const state = said(sent(waits, plan), { type: "refused", id: "p", code: "limit", message: "No." });
    expect(state.notices[0]?.typed).toBe("One.\n\nTwo.");
  });
});

describe("shots", () => {
  it("stand in order however they come, and the newest word on a shot counts", () => {
    const state = said(
      nothingYet,
      { type: "shot", ...shot(1) },
      { type: "shot", ...shot(0) },
      { type: "shot", ...shot(1, { state: "live", take: 1, takes: 2 }) },
    );
    expect(state.shots.map(({ number, take }) => [number, take])).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(isRunning(said(state, { type: "state", state: "shooting" }))).toBe(true);
  });

  it("go when deleted, and the first stale one is found", () => {
    const stale = [0, 1, 2].map((n): ServerEvent => ({
      type: "shot",
      ...shot(n, { state: n ? "stale" : "done" }),
    }));
    const state = said(nothingYet, ...stale, { type: "deleted", shot: 2 });
    expect(state.shots).toHaveLength(2);
    expect(firstStale(state)?.number).toBe(1);
  });
});

describe("a welcome", () => {
  const memory = { frames: [], global_used: 0, global_size: 6, local_used: 0, local_size: 21 };
  const welcome = (shots: ShotCard[]): ServerEvent => ({
    type: "welcome",
    protocol: 1,
    story: "abcdefghijkl",
    model: "mini",
    size: [160, 96],
    fps: 12,
    chunk_seconds: 1,
    limits: {
      prompt_characters: 1,
      setting_characters: 1,
      shot_seconds: 1,
      shots: 1,
      open_stories: 1,
      queued_commands: 1,
      upload_bytes: 1,
      sound_bytes: 1,
      sound_seconds: 1,
      sounds: 1,
      viewers: 64,
      lookahead_seconds: 2,
    },
    snapshot: { setting: "A cat.", seed: 4, state: "paused", shots, memory, sounds: [], cast: [] },
  });

  it("replaces what was known but keeps what is unanswered", () => {
    const before = reduce(sent(said(nothingYet, { type: "shot", ...shot(7) }), shoot), {
      kind: "link",
      link: "lost",
    });
    const state = said(before, welcome([shot(1), shot(0)]));
    expect(state).toMatchObject({ link: "open", setting: "A cat.", telling: "paused", seed: 4 });
    expect(state.shots.map(({ number }) => number)).toEqual([0, 1]);
    expect(state.unanswered).toEqual([shoot]);
  });

  it("a failure's reason goes when the state does", () => {
    const failed = said(nothingYet, { type: "state", state: "failed", reason: "Full disk." });
    expect(failed.reason).toBe("Full disk.");
    expect(said(failed, { type: "state", state: "idle", reason: null }).reason).toBeUndefined();
  });

  it("adds up what this viewer missed and keeps the newest prompt-to-glass time", () => {
    const state = said(
      nothingYet,
      { type: "dropped", frames: 3 },
      { type: "dropped", frames: 4 },
      { type: "shown", id: "a", prompt_to_glass_seconds: 0.4 },
    );
    expect(state.droppedFrames).toBe(7);
    expect(state.promptToGlassSeconds).toBe(0.4);
  });
});
