// @vitest-environment happy-dom
import { useEffect, useReducer } from "react";
import { createRoot } from "react-dom/client";
import { expect, it, vi } from "vitest";
import type { ShotCard } from "../src/protocol";
import { Link } from "../src/story/link";
import { nothingYet, reduce } from "../src/story/state";

const card = (number: number, state: "done" | "stale" = "done", place?: number): ShotCard => ({
  number,
  prompt: "The cat waves.",
  prompts: [],
  length_seconds: 3,
  seed: 5,
  take: 0,
  takes: 1,
  made: [],
  continuity: [],
  references: [],
  in_frame: 0,
  state,
  chunks: 3,
  frames: 33,
  ...(place !== undefined && { place }),
});

const snapshot = { setting: "", seed: 1, state: "idle", shots: Array.from({ length: 8 }, (_, n) => card(n)) };
const WELCOME = { type: "welcome", story: "a", model: "mini", size: [1, 1], fps: 12, snapshot };
/** As the server tells that the last of eight shots became the first: a message for every card. */
const MOVE = [
  ...snapshot.shots.map(({ number }) => ({ type: "shot", ...card(number, "stale", (number + 1) % 8) })),
  { type: "memory", frames: [], global_used: 6, global_size: 6, local_used: 0, local_size: 6 },
];

let socket: FakeSocket | undefined;
class FakeSocket {
  static readonly OPEN = 1;
  readyState = 1;
  onopen?: () => void;
  onmessage?: (message: { data: unknown }) => void;
  constructor() {
    socket = this;
  }
  send() {}
  close() {}
  say(event: object) {
    this.onmessage?.({ data: JSON.stringify(event) });
  }
}

/** Lets React draw what it was told, as it does between two messages. */
const drawing = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((done) => setImmediate(done));
};

let drawn: string[];

/** The numbers of the cards as they are drawn, noted at every drawing. */
function Board() {
  const [state, happen] = useReducer(reduce, nothingYet);
  useEffect(() => {
    const link = new Link("ws://here", "a", {
      lastChunk: () => undefined,
      packet: () => undefined,
      said: (event) => happen({ kind: "said", event }),
      link: () => undefined,
    });
    return () => link.close();
  }, []);
  drawn.push(state.shots.map(({ number }) => number).join(""));
  return null;
}

it.each([
  ["this page's own", [{ type: "receipt", id: "1", applies_from: null }]],
  ["another page's", []],
])("a move is drawn once: %s", async (_, after) => {
  vi.stubGlobal("WebSocket", FakeSocket);
  [drawn, socket] = [[], undefined];
  const root = createRoot(document.createElement("div"));
  root.render(<Board />);
  const { say } = await vi.waitFor(() => {
    expect(socket?.onmessage).toBeDefined();
    return { say: (event: object) => socket!.say(event) };
  });
  say(WELCOME);
  await vi.waitFor(() => expect(drawn.at(-1)).toBe("01234567"));
  drawn = [];
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  for (const event of [...MOVE, ...after]) {
    say(event);
    await drawing();
  }
  vi.runAllTimers();
  await drawing();
  vi.useRealTimers();
  expect(drawn).toEqual(["70123456"]);
  root.unmount();
  vi.unstubAllGlobals();
});
