// @vitest-environment happy-dom
import { act, createRef } from "react";
import { type Root, createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { AutoRetake } from "../src/page/AutoRetake";
import { Card } from "../src/page/Card";
import { Composer } from "../src/page/Composer";
import { Memory } from "../src/page/Memory";
import { Storyboard } from "../src/page/Storyboard";
import { useKeys } from "../src/page/useKeys";
import type { ShotCard } from "../src/protocol";
import type { Order } from "../src/story/link";
import { OrderRow } from "../src/story/orderRow";
import { type StoryState, nothingYet } from "../src/story/state";
import { useDraft } from "../src/story/useDraft";
import { usePrompts } from "../src/story/usePrompts";
import type { OpenStory } from "../src/story/useStory";

const limits = {
  prompt_characters: 2000,
  setting_characters: 2000,
  shot_seconds: 10,
  shots: 200,
  open_stories: 8,
  queued_commands: 32,
  upload_bytes: 1,
  sound_bytes: 1,
  sound_seconds: 1,
  sounds: 1,
  viewers: 64,
  lookahead_seconds: 2,
};
const stage = {
  story: "abcdefghijkl",
  model: "mini",
  size: [160, 96] as [number, number],
  fps: 12,
  chunkSeconds: 1,
  limits,
};
const shot: ShotCard = {
  number: 0,
  prompt: "The cat waves.",
  prompts: [[0, "The cat waves."]],
  length_seconds: 3,
  seed: 5,
  take: 0,
  takes: 1,
  made: [],
  continuity: [],
  references: [],
  state: "done",
  chunks: 3,
  frames: 33,
  in_frame: 0,
};
const vocabulary = {
  words: ["the", "cat", "waves", "jumps"],
  prompts: [],
  settings: [],
  names: ["cat"],
  hero: "the cat",
  adapter: null,
};

let root: Root;
let orders: Order[];
let said: string[];
const show = (element: React.ReactNode) => act(() => root.render(element));
const ordering = () => {
  const row = new OrderRow((order) => void orders.push(order));
  return { order: (order: Order) => row.give(order), reserve: () => row.reserve(), held: 0 };
};
const open = (state: Partial<StoryState> = {}): OpenStory => ({
  state: { ...nothingYet, link: "open", stage, ...state },
  happen: () => undefined,
  ...ordering(),
  story: stage.story,
  readiness: "ready",
  wrong: (text) => void said.push(text),
  retry: () => undefined,
  awaitTurn: () => undefined,
  release: () => undefined,
  drop: () => undefined,
  setElement: () => undefined,
  onScreen: undefined,
  end: undefined,
  film: undefined,
  filmVideo: createRef<HTMLVideoElement>(),
  filmEnded: () => undefined,
  mode: { alone: false, loops: false },
  setMode: () => undefined,
  isPlaying: false,
  pause: () => undefined,
  seek: () => undefined,
  shown: () => undefined,
  packet: () => undefined,
  lastChunk: () => undefined,
  playFrom: () => undefined,
  goOn: () => undefined,
  follow: () => undefined,
  showEnd: () => undefined,
  step: () => undefined,
  sound: {
    files: [],
    read: async () => undefined,
    muted: false,
    setMuted: () => undefined,
    shown: () => undefined,
  },
});
const type = (text: string) =>
  act(() => {
    const field = document.querySelector("textarea")!;
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")!.set!.call(field, text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
const press = (
  key: string,
  more: KeyboardEventInit = {},
  on: EventTarget = document.querySelector("textarea") ?? document.body,
) =>
  act(
    () =>
      void on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more })),
  );
const click = (name: string) =>
  act(() => {
    const buttons = [...document.querySelectorAll("button")];
    buttons
      .find((button) => (button.getAttribute("aria-label") ?? button.textContent)?.includes(name))!
      .click();
  });

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  sessionStorage.clear();
  localStorage.clear();
  [orders, said] = [[], []];
  const place = document.body.appendChild(document.createElement("div"));
  root = createRoot(place);
});
afterEach(() => {
  act(() => root.unmount());
  document.body.replaceChildren();
});

const Desk = ({ state }: { state?: Partial<StoryState> }) => {
  const draft = useDraft(stage.story);
  const here = open(state);
  const prompts = usePrompts(here.state, vocabulary.adapter, [], []);
  return (
    <>
      <Composer
        open={here}
        draft={draft}
        vocabulary={vocabulary}
        field={createRef<HTMLTextAreaElement>()}
        prompts={prompts}
      />
      <Storyboard open={here} draft={draft} vocabulary={vocabulary} prompts={prompts} />
    </>
  );
};
const composer = (state?: Partial<StoryState>) => <Desk state={state} />;
const text = () => document.querySelector("textarea")!.value;

it("Enter shoots what is written and clears the field; nothing written shoots nothing", () => {
  show(composer());
  press("Enter");
  type("  The cat jumps. ");
  press("Enter", { shiftKey: true });
  expect(orders).toEqual([]);
  press("Enter");
  expect(orders).toEqual([{ type: "shoot", prompt: "The cat jumps." }]);
  expect(text()).toBe("");
});

it("Ctrl+Enter redirects a running shot", () => {
  show(composer({ shots: [{ ...shot, state: "live" }], telling: "shooting" }));
  type("The cat waves.");
  press("Enter", { ctrlKey: true });
  expect(orders).toEqual([{ type: "redirect", prompt: "The cat waves." }]);
});

it("Shift+Alt+Enter, or its button, has the shot wait; a seed can be chosen", () => {
  const live = composer({ shots: [{ ...shot, state: "live" }], telling: "shooting" });
  show(live);
  type("The cat waves.");
  press("Enter", { shiftKey: true, altKey: true });
  click("Seed");
  act(() => {
    const seed = document.querySelector<HTMLInputElement>("input[type=number]")!;
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")!.set!.call(seed, "0");
    seed.dispatchEvent(new Event("input", { bubbles: true }));
  });
  type("The cat jumps.");
  click("After this shot");
  expect(orders).toEqual([
    { type: "shoot", prompt: "The cat waves.", after: true },
    { type: "shoot", prompt: "The cat jumps.", seed: 0, after: true },
  ]);
});

it("a refused prompt comes back, but never over newer words", () => {
  const notices = [{ number: 3, tone: "wrong" as const, text: "Busy.", typed: "The cat jumps." }];
  show(composer());
  show(composer({ notices }));
  expect(text()).toBe("The cat jumps.");
  type("The cat");
  show(composer({ notices: [{ ...notices[0]!, number: 4, typed: "Old." }] }));
  expect(text()).toBe("The cat");
});

it("typed text outlives a reload", () => {
  show(composer());
  type("The cat");
  act(() => root.unmount());
  root = createRoot(document.body.appendChild(document.createElement("div")));
  show(composer());
  expect(text()).toBe("The cat");
});

it("an unknown word can be replaced by a known one", () => {
  show(composer());
  type("The cat jumpz.");
  expect(document.querySelector("mark")?.textContent).toBe("jumpz");
  click("jumps");
  expect(text()).toBe("The cat jumps.");
  expect(document.querySelector("mark")).toBeNull();
});

it("a word without near ones is left out, and all known words are there to be put in its place", () => {
  show(composer());
  expect(document.querySelector("details")).toBeNull();
  type("The hippopotamus.");
  expect(document.body.textContent).toContain("leaves out “hippopotamus”");
  const field = document.querySelector("textarea")!;
  field.setSelectionRange(4, 16);
  click("cat");
  expect(text()).toBe("The cat.");
  expect(field.selectionStart).toBe(7);
});

it("a card orders what its buttons say", () => {
  show(<Card shot={shot} open={open()} />);
  click("Retake shot 1");
  click("More for shot 1");
  click("Branch off");
  expect(orders).toEqual([
    { type: "retake", shot: 0, seed: expect.any(Number) },
    { type: "branch", shot: 0 },
  ]);
  click("More for shot 1");
  click("Delete");
  expect(orders.at(-1)).toEqual({ type: "delete", shot: 0 });
});

it("a deleted shot leaves the storyboard, and the numbers close the gap", () => {
  const shots = [shot, { ...shot, number: 1, state: "deleted" as const }, { ...shot, number: 2 }];
  show(<Card shot={shots[2]!} open={open({ shots })} />);
  click("Retake shot 2");
  expect(orders).toEqual([{ type: "retake", shot: 2, seed: expect.any(Number) }]);
});

it("takes are compared with their scores, and the best is marked", () => {
  const made: [number, number][] = [
    [0, 5],
    [1, 77],
    [2, 78],
  ];
  const continuity = [
    { take: 0, score: 0.7, reasons: ["The hat of shot 1 is gone"], not_measured: [] },
    { take: 1, score: 0.95, reasons: [], not_measured: [] },
  ];
  show(<Card shot={{ ...shot, takes: 3, made, continuity }} open={open()} />);
  click("Compare takes of shot 1");
  const takes = [...document.querySelectorAll(".compare li")].map((take) => take.textContent);
  expect(takes[0]).toContain("70 %Much is lostThe hat of shot 1 is gone");
  expect(takes.map((take) => take?.includes("best"))).toEqual([false, true, false]);
  expect(takes[2]).toContain("Not measured");
});

it("takes stand side by side, and a key chooses the better one", () => {
  const made: [number, number][] = [
    [0, 5],
    [1, 77],
  ];
  show(<Card shot={{ ...shot, take: 1, takes: 2, seed: 77, made }} open={open()} />);
  expect(document.body.textContent).toContain("seed 77");
  click("Compare takes of shot 1");
  const films = [...document.querySelectorAll<HTMLVideoElement>(".compare video")];
  expect(films.map((film) => film.getAttribute("src"))).toEqual(
    [0, 1].map((take) => `api/stories/${stage.story}/clips/0/${take}.mp4`),
  );
  const press = (key: string) =>
    act(() =>
      document.querySelector(".compare")!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })),
    );
  press("3");
  expect(orders).toEqual([]);
  press("1");
  expect(orders).toEqual([{ type: "choose", shot: 0, take: 0 }]);
  expect(document.querySelector(".compare")).toBeNull();
});

it("words of a card are changed in place; unchanged words order nothing", () => {
  show(<Card shot={shot} open={open()} />);
  click("More for shot 1");
  click("Change the words");
  click("Keep");
  expect(orders).toEqual([]);
  click("More for shot 1");
  click("Change the words");
  type("The cat jumps.");
  press("Enter");
  expect(orders).toEqual([{ type: "edit", shot: 0, prompt: "The cat jumps." }]);
});

it("remembered frames are pinned and let go", () => {
  const frame = { shot: 1, take: 2, frame: 4 };
  const frames = [
    { ...frame, source: "rule" as const },
    { ...frame, frame: 9, source: "pin" as const },
    { shot: 0, take: 0, frame: -1, source: "reference" as const, upload: "abc" },
  ];
  const memory = { frames, global_used: 2, global_size: 6, local_used: 0, local_size: 21 };
  show(<Memory open={open({ memory, shots: [shot, { ...shot, number: 1 }] })} />);
  click("Pin: Shot 2, frame 5");
  click("Let go: Shot 2, frame 10");
  click("Let go: A picture of yours");
  expect([...document.querySelectorAll("img")].map((image) => image.getAttribute("src"))).toEqual([
    "api/stories/abcdefghijkl/stills/1/2/4.jpg",
    "api/stories/abcdefghijkl/stills/1/2/9.jpg",
    "api/uploads/abc.png",
  ]);
  expect(orders).toEqual([
    { type: "pin", shot: 1, frame: 4 },
    { type: "unpin", shot: 1, frame: 9 },
    { type: "unpin", shot: 0, frame: -1 },
  ]);
});

it("where a chunk looked is asked for and drawn as bars, layer by layer", async () => {
  const frame = { shot: 0, take: 0, frame: 4, share: 0.25, layers: [0.1, 0.4] };
  const read = { shot: 1, take: 0, chunk: 2, frames: [frame], own_share: 0.75, own_layers: [0.9, 0.6] };
  const asked = vi.fn().mockResolvedValue(new Response(JSON.stringify(read)));
  vi.stubGlobal("fetch", asked);
  show(<Memory open={open({ shots: [shot, { ...shot, number: 1 }] })} />);
  expect(asked).not.toHaveBeenCalled();
  await act(async () => click("Where does it look?"));
  const bars = () => [...document.querySelectorAll(".share")].map((bar) => bar.textContent);
  expect(document.querySelector(".attention h3")?.textContent).toBe("Shot 2, chunk 3 looks at");
  expect(bars()).toEqual(["Shot 1, frame 525.0 %", "This shot75.0 %"]);
  const layer = document.querySelector<HTMLSelectElement>(".attention select")!;
  act(() => {
    layer.value = "1";
    layer.dispatchEvent(new Event("change", { bubbles: true }));
  });
  expect(bars()).toEqual(["Shot 1, frame 540.0 %", "This shot60.0 %"]);
  asked.mockResolvedValue(new Response(JSON.stringify({ detail: "no shot is running" }), { status: 409 }));
  await act(async () => click("Chunk before"));
  expect(asked.mock.lastCall![0]).toBe("api/stories/abcdefghijkl/attention?chunk=1");
  expect(document.querySelector(".attention .wrong")?.textContent).toBe("no shot is running");
  vi.unstubAllGlobals();
});

it("single keys work outside of fields only, and can be switched off", () => {
  const cut = vi.fn();
  const Keys = () => {
    useKeys({ cut });
    return <textarea />;
  };
  show(<Keys />);
  press("c");
  press("c", { ctrlKey: true }, document.body);
  expect(cut).not.toHaveBeenCalled();
  press("c", {}, document.body);
  expect(cut).toHaveBeenCalledOnce();
  localStorage.setItem("single keys", "off");
  press("c", {}, document.body);
  expect(cut).toHaveBeenCalledOnce();
});

const SCRIPT = "The cat waves.\n\nThe cat jumps.\n\nThe cat waves.";
const planned = () => [...document.querySelectorAll<HTMLElement>("[data-state=planned] article")];

it("a pasted script is shot by one key, and writing goes on", () => {
  show(composer());
  type(SCRIPT);
  expect(planned().map((card) => card.getAttribute("aria-label"))).toEqual(["Shot 1", "Shot 2", "Shot 3"]);
  press("Enter");
  expect(orders, "Enter begins a line").toEqual([]);
  press("Enter", { ctrlKey: true });
  const shots = [{ prompt: "The cat waves." }, { prompt: "The cat jumps." }, { prompt: "The cat waves." }];
  expect(orders).toEqual([{ type: "replan", from_shot: 0, shots }]);
  expect(text()).toBe("");
  expect(planned()).toEqual([]);
});

it("planned shots are moved, doubled and taken away by keys, and the script has it", () => {
  show(composer());
  type(SCRIPT);
  press("ArrowDown", { altKey: true }, planned()[0]);
  expect(text()).toBe("The cat jumps.\n\nThe cat waves.\n\nThe cat waves.");
  expect(document.activeElement).toBe(planned()[1]);
  press("d", {}, planned()[0]);
  press("Delete", {}, planned()[3]);
  expect(text()).toBe("The cat jumps.\n\nThe cat jumps.\n\nThe cat waves.");
  expect(document.activeElement).toBe(planned()[2]);
});

const waiting = (number: number): ShotCard => ({
  ...shot,
  number,
  prompt: `The cat waves ${number}.`,
  state: "queued",
  chunks: 0,
  frames: 0,
  prompts: [],
});
const running = {
  shots: [{ ...shot, state: "live" as const }, waiting(1), waiting(2)],
  telling: "shooting" as const,
};
const asWaits = (number: number) => ({ prompt: `The cat waves ${number}.`, seconds: 3, seed: 5 });

it("shots that wait are put in another order and keep what they were ordered as", () => {
  show(composer(running));
  click("Later: shot 2");
  click("Take away shot 3");
  type("The cat jumps.\nThe cat waves.");
  click("Shoot all 2");
  const written = [{ prompt: "The cat jumps." }, { prompt: "The cat waves." }];
  expect(orders).toEqual([
    { type: "replan", from_shot: 1, shots: [asWaits(2), asWaits(1)] },
    { type: "replan", from_shot: 1, shots: [asWaits(1)] },
    { type: "replan", from_shot: 1, shots: [asWaits(1), asWaits(2), ...written] },
  ]);
});

it("a shot that has begun and has no picture yet does not wait", () => {
  show(composer({ shots: [shot, waiting(1), waiting(2)], telling: "shooting" }));
  const buttons = [...document.querySelectorAll("button")].map((button) => button.getAttribute("aria-label"));
  expect(buttons).not.toContain("Take away shot 2");
  expect(buttons).toContain("Take away shot 3");
});

it("says how far the telling is and how long the rest takes", () => {
  show(composer({ ...running, shots: [{ ...running.shots[0]!, frames: 12, chunks: 1 }, waiting(1)] }));
  expect(document.querySelector(".progress-line")?.textContent).toBe("Shot 1 of 2 · about 5 s left");
});

it("hints at shots that name nobody, and is quiet of others", () => {
  const hint = () => document.querySelector(".hint")!.textContent;
  show(composer());
  type("The cat waves.");
  expect(hint()).toBe("");
  type("Waves, jumps.");
  expect(hint()).toBe("Shot 1 names nobody. Say “the cat”, or somebody else may be drawn.");
  type("The cat waves.\nWaves.\nJumps.");
  expect(hint()).toContain("Shots 2 and 3 name nobody.");
});

it("keys work while the bar under the picture has the focus, but for those that move it", () => {
  const [play, on] = [vi.fn(), vi.fn()];
  const Bar = () => {
    useKeys({ play, on });
    return <input type="range" />;
  };
  show(<Bar />);
  const bar = document.querySelector("input")!;
  press("k", {}, bar);
  press(" ", {}, bar);
  press("ArrowRight", {}, bar);
  expect(play).toHaveBeenCalledTimes(2);
  expect(on).not.toHaveBeenCalled();
});

it("says in one sign how well the take that stands goes on, and why", () => {
  const measured = (take: number, score: number, reasons: string[] = []) => ({
    take,
    score,
    reasons,
    not_measured: [],
  });
  const sign = () => document.querySelector<HTMLElement>(".continuity");
  const continuity = [measured(0, 0.97), measured(1, 0.899, ["The hat of shot 1 is gone (the red cat)."])];
  show(<Card shot={{ ...shot, continuity }} open={open()} />);
  expect(sign()!.dataset.level).toBe("kept");
  expect(sign()!.textContent).toBe("");
  show(<Card shot={{ ...shot, take: 1, takes: 2, continuity }} open={open()} />);
  expect(sign()!.dataset.level).toBe("partly");
  expect(sign()!.textContent).toBe("89 %");
  expect(sign()!.title).toContain("The hat of shot 1 is gone");
  expect(sign()!.getAttribute("aria-label")).toBe(
    "Shot 1. Goes on with changes (continuity 89 %). The hat of shot 1 is gone (the red cat).",
  );
  show(<Card shot={{ ...shot, take: 2, takes: 3, continuity }} open={open()} />);
  expect(sign()).toBeNull();
});

it("makes the best of several takes, and takes shots anew by itself if asked to", () => {
  const button = (label: string) =>
    [...document.querySelectorAll<HTMLButtonElement>("button")].find(
      (one) => one.getAttribute("aria-label") === label || one.textContent?.trim() === label,
    )!;
  show(<Card shot={shot} open={open()} />);
  act(() => button("More for shot 1").click());
  act(() => button("Best of 3 new takes").click());
  expect(orders.at(-1)).toMatchObject({ type: "retake", shot: 0, takes: 3 });
  show(<AutoRetake open={open()} />);
  act(() => button("Retakes by themselves: Only when I ask").click());
  act(() => button("Below 75 %").click());
  expect(orders.at(-1)).toEqual({ type: "autoretake", min_continuity: 0.75, most_takes: 3 });
  show(<AutoRetake open={open({ autoRetake: { min_continuity: 0.75, most_takes: 3 } })} />);
  act(() => button("Retakes by themselves: Below 75 %").click());
  act(() => button("Only when I ask").click());
  expect(orders.at(-1)).toEqual({ type: "autoretake", min_continuity: undefined, most_takes: 3 });
});

it("a told shot is moved by keys and from its menu, and never behind one that is not told", () => {
  const shots = [0, 1, 2].map((number) => ({ ...shot, number }));
  const queued = { ...shot, number: 4, state: "queued" as const, chunks: 0, frames: 0 };
  const live = { ...shot, number: 3, state: "live" as const };
  show(composer({ shots: [...shots, live, queued] }));
  const card = (number: number) =>
    document.querySelector<HTMLElement>(`article[aria-label="Shot ${number}"]`)!;
  press("ArrowUp", { altKey: true }, card(3));
  expect(orders).toEqual([{ type: "move", shot: 2, before: 1 }]);
  press("ArrowDown", { altKey: true }, card(1));
  expect(orders[1]).toEqual({ type: "move", shot: 0, before: 2 });
  press("ArrowUp", { altKey: true }, card(1));
  expect(orders).toHaveLength(2);
  press("ArrowDown", { altKey: true }, card(4));
  press("ArrowUp", { altKey: true }, card(5));
  expect(orders).toHaveLength(2);
  expect(said.map((text) => text.split(" that")[0])).toEqual(["A told shot stands before those", "A shot"]);
  click("More for shot 1");
  click("Later in the film");
  expect(orders[2]).toEqual({ type: "move", shot: 0, before: 2 });
});
