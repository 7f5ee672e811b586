import { expect, it } from "vitest";
import { Telling, type Viewer } from "../dev/telling";
import type { Event as ServerEvent } from "../src/protocol";
import { type StoryState, nothingYet, reduce } from "../src/story/state";
import { readPacket } from "../src/video/packet";
import { Playlist } from "../src/video/playlist";

/** A page without a screen: it keeps the state and shows every frame at once. */
class Page implements Viewer {
  state: StoryState = nothingYet;
  events: ServerEvent[] = [];
  shown: string[] = [];
  private readonly playlist = new Playlist(1000);

  event(event: ServerEvent): void {
    this.events.push(structuredClone(event));
    this.state = reduce(this.state, { kind: "said", event: structuredClone(event) });
  }

  packet(bytes: ArrayBuffer): void {
    this.playlist.push(readPacket(bytes));
  }

  watch(telling: Telling, ticks: number): void {
    for (let tick = 0; tick < ticks; tick++) {
      telling.tick();
      for (let next = this.playlist.next(); next; next = this.playlist.next()) {
        const { shot, take, frame } = next;
        this.shown.push(`${shot}/${take}`);
        telling.take(this, { type: "playhead", shot, take, frame });
      }
    }
  }
}

const begun = () => {
  const telling = new Telling("abcdefghijkl", "A red cat is in the snow.", () => "lkjihgfedcba");
  const page = new Page();
  telling.join(page);
  return { telling, page };
};

it("a story told by the fake server arrives whole on the page", () => {
  const { telling, page } = begun();
  telling.take(page, { type: "shoot", id: "1", prompt: "The cat waves.", seconds: 2 });
  page.watch(telling, 4);
  telling.take(page, { type: "retake", id: "2", shot: 0 });
  page.watch(telling, 6);
  telling.take(page, { type: "edit", id: "3", shot: 0, prompt: "The cat jumps." });
  expect([...new Set(page.shown)]).toEqual(["0/0", "0/1"]);
  expect(page.shown.filter((take) => take === "0/0")).toHaveLength(24);
  expect(page.state.shots).toMatchObject([{ prompt: "The cat jumps.", take: 1, takes: 2, state: "stale" }]);
  expect(page.state.telling).toBe("idle");
  expect(page.state.promptToGlassSeconds).toBeGreaterThan(0);
});

it("makes no more than the look-ahead while nobody watches, and the same order twice counts once", () => {
  const { telling, page } = begun();
  const shoot = { type: "shoot", id: "1", prompt: "The cat waves.", seconds: 9 } as const;
  telling.take(page, shoot);
  telling.take(page, shoot);
  for (let tick = 0; tick < 9; tick++) telling.tick();
  expect(page.state.shots).toMatchObject([{ chunks: 2, state: "live" }]);
  expect(page.state.figures?.waiting).toBe(true);
  expect(page.events.filter(({ type }) => type === "receipt")).toHaveLength(2);
});

it("a shot that waits stands in the storyboard, and begins when the one before has ended", () => {
  const { telling, page } = begun();
  telling.take(page, { type: "shoot", id: "1", prompt: "The cat waves.", seconds: 2 });
  telling.take(page, { type: "shoot", id: "2", prompt: "The cat jumps.", seconds: 1, after: true });
  expect(page.state.shots.map(({ state }) => state)).toEqual(["live", "queued"]);
  page.watch(telling, 6);
  expect(page.state.shots).toMatchObject([
    { state: "done", chunks: 2 },
    { state: "done", chunks: 1 },
  ]);
});

it("refuses what makes no sense now, and says why", () => {
  const { telling, page } = begun();
  telling.take(page, { type: "cut", id: "1" });
  telling.take(page, { type: "undo", id: "2" });
  expect(page.state.notices.map(({ text }) => text)).toEqual([
    "No shot runs. Write one and press Enter.",
    "There is nothing to undo.",
  ]);
});
