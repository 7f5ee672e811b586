// @vitest-environment happy-dom
import { act, createRef, useRef } from "react";
import { type Root, createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Composer } from "../src/page/Composer";
import { Marks } from "../src/page/Marks";
import { Rewording } from "../src/page/Rewording";
import { Start } from "../src/page/Start";
import type { ShotCard } from "../src/protocol";
import type { Order } from "../src/story/link";
import { OrderRow } from "../src/story/orderRow";
import type { PromptRead } from "../src/story/prompts";
import { nothingYet, promptOf, reduce } from "../src/story/state";
import { useDraft } from "../src/story/useDraft";
import { usePrompts } from "../src/story/usePrompts";
import type { OpenStory } from "../src/story/useStory";
import { stretches } from "../src/story/words";

const WRITTEN = "our robot is dancing, seen from far away";
const TOLD = "Wide shot of the blue robot dancing.";
const vocabulary = {
  words: ["the", "robot", "dances", "wide", "shot"],
  prompts: [],
  settings: [],
  names: ["robot"],
  hero: "the robot",
  adapter: "rules" as const,
};
const ROSIE = { name: "Rosie", description: "a red fox", pictures: [] };
const unknown = { code: "unknown" as const, words: "far", sentence: "Not known.", near: ["wide shot"] };

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

let root: Root;
let orders: Order[];
let open: OpenStory;
let give: (what: Order) => void;
let asked: { prompts: string[] }[];

const read = (text: string): PromptRead => ({
  written: text,
  marks: text === WRITTEN ? [unknown] : [],
  adapted: text === WRITTEN ? { prompt: TOLD, notes: ["A note."], marks: [] } : null,
});

beforeEach(() => {
  [orders, asked] = [[], []];
  sessionStorage.clear();
  localStorage.clear();
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (_: string, init: { body: string }) => {
    const body = JSON.parse(init.body) as { prompts: string[] };
    asked.push(body);
    return { ok: true, json: async () => ({ prompts: body.prompts.map(read), by: "rules", problem: null }) };
  });
  const place = document.createElement("div");
  document.body.append(place);
  root = createRoot(place);
  act(() => root.render(<Desk />));
});
afterEach(() => {
  act(() => root.unmount());
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function Desk() {
  const draft = useDraft("abcdefghijkl");
  const row = useRef(new OrderRow((what) => orders.push(what))).current;
  open = {
    state: nothingYet,
    order: (what: Order) => row.give(what),
    reserve: () => row.reserve(),
  } as unknown as OpenStory;
  give = open.order;
  const texts = draft.isScript ? draft.shots.map(({ prompt }) => prompt) : [draft.text.trim()];
  const prompts = usePrompts(nothingYet, "rules", texts, []);
  const field = createRef<HTMLTextAreaElement>();
  return <Composer {...{ open, draft, vocabulary, field, prompts }} />;
}

const field = () => document.querySelector("textarea")!;
function type(text: string) {
  const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")!.set!;
  act(() => {
    set.call(field(), text);
    field().dispatchEvent(new Event("input", { bubbles: true }));
  });
}
const settle = () => act(() => vi.advanceTimersByTimeAsync(100));
const enter = () =>
  act(async () => void field().dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true })));
const click = (words: string) =>
  act(() =>
    [...document.querySelectorAll("button")].find((one) => one.textContent!.includes(words))!.click(),
  );
const said = () => document.querySelector(".adapted")!.textContent;

it("shows what the model gets before it is used, and tells it", async () => {
  type(WRITTEN);
  await settle();
  expect(said()).toContain(`The model gets: ${TOLD}`);
  expect(said()).toContain("A note.");
  await enter();
  expect(orders).toEqual([{ type: "shoot", prompt: TOLD, written: WRITTEN }]);
});

it("goes back to the person's own words by one click, and forth again", async () => {
  type(WRITTEN);
  await settle();
  click("Use my own words");
  expect(document.querySelector(".adapted s")!.textContent).toBe(TOLD);
  await enter();
  expect(orders).toEqual([{ type: "shoot", prompt: WRITTEN }]);
});

it("asks before it shoots what was not looked at, and waits for a second Enter where it differs", async () => {
  type("The robot dances.");
  await enter();
  await settle();
  expect(orders).toEqual([{ type: "shoot", prompt: "The robot dances." }]);
  type(WRITTEN);
  await enter();
  await settle();
  expect(orders).toHaveLength(1);
  expect(said()).toContain(TOLD);
  await enter();
  expect(orders[1]).toEqual({ type: "shoot", prompt: TOLD, written: WRITTEN });
});

it("can be switched off, for good", async () => {
  click("Adapt");
  type(WRITTEN);
  await settle();
  expect(asked.every((body) => !("adapt" in body) || (body as { adapt?: boolean }).adapt === false)).toBe(
    true,
  );
  await enter();
  expect(orders).toEqual([{ type: "shoot", prompt: WRITTEN }]);
  expect(localStorage.getItem("adapt prompts")).toBe("off");
});

it("shoots the person's own words where the server does not answer", async () => {
  vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("gone")));
  type(WRITTEN);
  await enter();
  await settle();
  expect(orders).toEqual([{ type: "shoot", prompt: WRITTEN }]);
});

it("tells a shot in new words at once, with the person's own beside them, or keeps them for later", async () => {
  const shot = { number: 2, prompt: "The robot dances.", state: "done", frames: 33 } as ShotCard;
  const done = vi.fn();
  const reword = (card: ShotCard) =>
    act(() => root.render(<Rewording shot={card} open={opened} vocabulary={vocabulary} onDone={done} />));
  const opened = open;
  reword(shot);
  type(WRITTEN);
  await settle();
  expect(said()).toContain(`The model gets: ${TOLD}`);
  click("Retake");
  expect(orders).toEqual([
    { type: "retake", shot: 2, seed: expect.any(Number), prompt: TOLD, written: WRITTEN },
  ]);
  expect(done).toHaveBeenCalledOnce();
  click("Keep");
  expect(orders[1]).toEqual({ type: "edit", shot: 2, prompt: TOLD, written: WRITTEN });
  act(() => root.render(<></>));
  reword({ ...shot, prompt: TOLD, written: WRITTEN });
  expect(field().value).toBe(WRITTEN);
  await settle();
  click("Keep");
  expect(orders).toHaveLength(2);
});

it("shows a setting in the model's words before a story begins with it, one click from one's own", async () => {
  const settled = { prompt: "A red fox is in a forest.", notes: [], marks: [] };
  const begun: string[] = [];
  vi.stubGlobal("fetch", async (path: string, init?: { body?: string }) => {
    const { setting = "" } = JSON.parse(init?.body ?? "{}") as { setting?: string };
    if (path === "api/stories" && init) {
      begun.push(setting);
      await new Promise((done) => setTimeout(done, 50));
    }
    const adapted = setting === "a fox, in the wood" ? settled : null;
    const answer = { setting: { written: setting, marks: [], adapted }, prompts: [], story: "abcdefghijkl" };
    return new Response(JSON.stringify(path === "api/prompts" || init ? answer : []));
  });
  const theme = { name: "light", next: () => undefined } as const;
  act(() => root.render(<Start vocabulary={vocabulary} theme={theme} />));
  type("a fox, in the wood");
  await enter();
  await settle();
  expect(begun).toEqual([]);
  expect(said()).toContain("The model gets: A red fox is in a forest.");
  await enter();
  await settle();
  expect(begun).toEqual(["A red fox is in a forest."]);
  click("Use my own words");
  await enter();
  await settle();
  expect(begun[1]).toBe("a fox, in the wood");
  type("A red fox is in a forest.");
  await enter();
  await enter();
  await settle();
  expect(begun.slice(2)).toEqual(["A red fox is in a forest."]);
});

/** An adapter that takes so long for every answer. */
function slowly(ms: number) {
  const answer = globalThis.fetch;
  vi.stubGlobal("fetch", async (...asked: Parameters<typeof fetch>) => {
    await new Promise((done) => setTimeout(done, ms));
    return answer(...asked);
  });
}
const after = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

it("lets what is ordered next wait until a slow adapter has answered", async () => {
  slowly(3000);
  type("The robot dances.");
  await enter();
  give({ type: "hold" });
  await after(2000);
  give({ type: "pin", shot: 0, frame: 0 });
  expect(orders).toEqual([]);
  await after(2000);
  expect(orders.map(({ type }) => type)).toEqual(["shoot", "hold", "pin"]);
  type(WRITTEN);
  await enter();
  give({ type: "cut" });
  await after(4000);
  expect(orders.slice(3).map(({ type }) => type)).toEqual(["cut"]);
  expect(field().value).toBe(WRITTEN);
});

it("takes one's own words by a second Enter, in the place of the first", async () => {
  slowly(60_000);
  type(WRITTEN);
  await enter();
  give({ type: "hold" });
  await enter();
  expect(orders).toEqual([{ type: "shoot", prompt: WRITTEN }, { type: "hold" }]);
  await after(60_000);
  expect(orders).toHaveLength(2);
});

it("stops at once, and then shoots nothing", async () => {
  slowly(3000);
  type("The robot dances.");
  await enter();
  give({ type: "hold" });
  give({ type: "stop" });
  expect(orders.map(({ type }) => type)).toEqual(["hold", "stop"]);
  await after(4000);
  expect(orders).toHaveLength(2);
  expect(field().value).toBe("The robot dances.");
});

it("lets no order wait for a field that is gone", async () => {
  slowly(3000);
  type("The robot dances.");
  await enter();
  give({ type: "hold" });
  act(() => root.render(<></>));
  expect(orders).toEqual([{ type: "hold" }]);
});

it("offers near words by meaning, and underlines marked words alone", async () => {
  type(WRITTEN);
  await settle();
  expect(document.querySelector(".word-help")!.textContent).toBe("");
  click("Use my own words");
  expect(document.querySelector(".word-help")!.textContent).toBe(
    "The model does not know “far”. Did you mean wide shot?",
  );
  const known = new Set(["robot"]);
  expect(stretches("our far robot", known, [unknown]).filter((part) => part.unknown)).toEqual([
    { text: "far", unknown: true },
  ]);
  expect(stretches("our robot", known).filter((part) => part.unknown)).toHaveLength(1);
});

it("a sign has what does not fit", () => {
  act(() => root.render(<Marks place={2} marks={[unknown]} />));
  expect(document.querySelector(".marks")!.getAttribute("aria-label")).toBe("Words of shot 2: Not known.");
  act(() => root.render(<Marks place={2} marks={[]} />));
  expect(document.querySelector(".marks")).toBeNull();
});

it("what was typed comes back in the person's own words where an order is refused", () => {
  expect(promptOf({ type: "shoot", id: "1", prompt: TOLD, written: WRITTEN })).toBe(WRITTEN);
  const shots = [{ prompt: TOLD, written: WRITTEN }, { prompt: "The robot dances." }];
  const planned = promptOf({ type: "replan", id: "2", from_shot: 0, shots });
  expect(planned).toBe(`${WRITTEN}\n\nThe robot dances.`);
});

it("the cast sheet and the setting change where the server says so", () => {
  const cast = reduce(nothingYet, { kind: "said", event: { type: "cast", cast: [ROSIE] } });
  expect(cast.cast).toEqual([ROSIE]);
  const setting = reduce(cast, { kind: "said", event: { type: "setting", setting: "At sea." } });
  expect([setting.setting, setting.cast.length]).toEqual(["At sea.", 1]);
});
