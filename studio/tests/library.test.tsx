// @vitest-environment happy-dom
import { act } from "react";
import { type Root, createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Library } from "../src/page/Library";
import { Start } from "../src/page/Start";
import { Tree } from "../src/page/Tree";
import type { StoryEntry } from "../src/story/server";
import { familyOf, forest, rows } from "../src/story/tree";
import { uploadPicture } from "../src/story/upload";

const story = (name: string, parent?: [string, number], more: Partial<StoryEntry> = {}): StoryEntry => ({
  story: name.padEnd(12, "0"),
  title: "",
  setting: `Of ${name}.`,
  seed: 1,
  model: "mini",
  state: "idle",
  shots: 2,
  frames: 24,
  seconds: 2,
  prompt: "The cat waves.",
  newest_prompt: "The cat sleeps.",
  still: null,
  cover: null,
  parent: parent ? { story: parent[0].padEnd(12, "0"), shot: parent[1] } : null,
  created_seconds: 1,
  changed_seconds: 1,
  deleted_seconds: null,
  ...more,
});
const family = [story("root"), story("b", ["root", 3]), story("a", ["root", 1]), story("c", ["a", 0])];
const names = (tree: ReturnType<typeof forest>[number]) =>
  rows(tree).map(({ entry, level }) => entry.story.replace(/0+$/, "") + level);

let root: Root;
let asked: string[];
let answers: Record<string, unknown>;
const show = (element: React.ReactNode) => act(async () => root.render(element));
const click = (name: string) =>
  act(async () => {
    const buttons = [...document.querySelectorAll("button")];
    buttons.find((one) => (one.getAttribute("aria-label") ?? one.textContent)?.includes(name))!.click();
  });

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  asked = [];
  answers = {};
  vi.stubGlobal("fetch", async (path: string, { method = "GET" }: RequestInit = {}) => {
    asked.push(`${method} ${path}`);
    const answer = answers[`${method} ${path}`] ?? {};
    return answer instanceof Response ? answer : new Response(JSON.stringify(answer));
  });
  root = createRoot(document.body.appendChild(document.createElement("div")));
});
afterEach(() => {
  act(() => root.unmount());
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

it("branches stand under what they left, in the order of the shots they left at", () => {
  const [tree, other] = forest([story("lone", ["gone", 2], { changed_seconds: 0 }), ...family].reverse());
  expect(names(tree!)).toEqual(["root1", "a2", "c3", "b2"]);
  expect(names(other!)).toEqual(["lone1"]);
  expect(names(familyOf([tree!, other!], story("c").story)!)).toEqual(names(tree!));
});

it("the arrow keys walk the tree, and Enter opens a story", async () => {
  await show(<Tree tree={forest(family)[0]!} label="Branches" />);
  const press = (key: string) =>
    act(async () => {
      const item = document.querySelector('[role="treeitem"][tabindex="0"]')!;
      item.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    });
  const walked: (string | undefined)[] = [];
  for (const key of ["ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "End", "ArrowDown"]) {
    await press(key);
    walked.push((document.activeElement as HTMLElement).dataset.story?.replace(/0+$/, ""));
  }
  expect(walked).toEqual(["a", "c", "a", "root", "b", "b"]);
  await press("Enter");
  expect(location.hash).toBe(`#/${story("b").story}`);
});

it("a story is put away with a way back, and forgotten only when asked twice", async () => {
  answers["GET api/stories"] = [story("one")];
  answers["GET api/stories?deleted=true"] = [story("two", undefined, { deleted_seconds: 9 }), story("one")];
  await show(<Library />);
  await click("Put away: Of one.");
  expect(document.body.textContent).toContain("is put away");
  await click("Undo");
  expect(asked.filter((one) => !one.startsWith("GET"))).toEqual([
    "DELETE api/stories/one000000000",
    "POST api/stories/one000000000/undelete",
  ]);
  const away = [...document.querySelectorAll("button")].find((one) => one.textContent === "Put away")!;
  await act(async () => away.click());
  await act(async () => away.click()); // once more changes nothing
  expect(document.querySelectorAll(".book")).toHaveLength(1);
  await click("Delete for good: Of two.");
  expect(asked).not.toContain("DELETE api/stories/two000000000/forever");
  await click("Really delete for good: Of two.");
  expect(asked).toContain("DELETE api/stories/two000000000/forever");
});

it("shows older stories when a person asks, those that moved up meanwhile once", async () => {
  const link = { headers: { Link: '<?deleted=false&before=7-two000000000>; rel="next"' } };
  answers["GET api/stories"] = new Response(JSON.stringify([story("one"), story("two")]), link);
  answers["GET api/stories?deleted=false&before=7-two000000000"] = [story("one"), story("three")];
  await show(<Library />);
  expect(document.querySelectorAll(".book")).toHaveLength(2);
  await click("Show older ones");
  expect(document.querySelectorAll(".book")).toHaveLength(3);
  expect(document.body.textContent).not.toContain("Show older ones");
});

it("a browser without a token is shown the way in", async () => {
  answers["GET api/stories"] = new Response("{}", { status: 401 });
  await show(<Library />);
  expect(document.querySelector('[role="alert"] a')?.getAttribute("href")).toBe("./");
});

it("a dropped story file begins a story; the server's sentence tells what is wrong with another", async () => {
  const theme = { name: "light" as const, next: () => undefined };
  await show(
    <Start
      vocabulary={{ words: null, prompts: [], settings: [], names: [], hero: null, adapter: null }}
      theme={theme}
    />,
  );
  const drop = (name: string) =>
    act(async () => {
      const event = new Event("drop", { bubbles: true, cancelable: true });
      Object.assign(event, { dataTransfer: { files: [new File(["{}"], name)], types: ["Files"] } });
      document.querySelector(".drop")!.dispatchEvent(event);
    });
  answers["POST api/stories/import"] = { story: "abcdefghijkl" };
  await drop("a.json");
  await vi.waitFor(() => expect(location.hash).toBe("#/abcdefghijkl"));
  answers["POST api/stories/import"] = new Response('{"detail": "It has no shots."}', { status: 422 });
  await drop("a.yaml");
  await vi.waitFor(() => expect(document.body.textContent).toContain("It has no shots."));
});

it("what is no picture, or too large, is not sent", async () => {
  const none = () => undefined;
  await expect(uploadPicture(new File(["x"], "a.txt", { type: "text/plain" }), 9, none)).rejects.toThrow(
    "“a.txt”",
  );
  const large = new File(["x".repeat(2 ** 20)], "a.png", { type: "image/png" });
  await expect(uploadPicture(large, 2 ** 19, none)).rejects.toThrow("1.0 MiB; at most 0.5");
});
