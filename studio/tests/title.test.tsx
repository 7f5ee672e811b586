// @vitest-environment happy-dom
import { act } from "react";
import { type Root, createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Header } from "../src/page/Header";
import { Title } from "../src/page/Title";
import { useKeys } from "../src/page/useKeys";
import { titleOf } from "../src/story/server";
import { useTitle } from "../src/story/useTitle";

const STORY = "abcdefghijkl";
const cut = vi.fn();
const wrong = vi.fn();

function Page() {
  const { title, rename } = useTitle(STORY, true, wrong);
  useKeys({ cut });
  const theme = { name: "light" as const, next: () => undefined };
  return <Header theme={theme} onHelp={() => undefined} title={<Title title={title} onChange={rename} />} />;
}

let root: Root;
let kept: string;
let asked: string[];
let fails: boolean;
const field = () => document.querySelector<HTMLInputElement>('input[aria-label="Title"]')!;
const write = (text: string) =>
  act(async () => {
    field().focus();
    field().value = text;
  });
const press = (key: string, more: KeyboardEventInit = {}) =>
  act(async () => {
    field().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  });

beforeEach(async () => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.clearAllMocks();
  [kept, asked, fails] = ["The fox", [], false];
  vi.stubGlobal("fetch", async (path: string, { method = "GET", body }: RequestInit = {}) => {
    if (fails) return new Response('{"detail": "The disk is full."}', { status: 507 });
    if (method !== "GET") asked.push(`${method} ${path} ${String(body)}`);
    if (method === "PATCH") kept = (JSON.parse(String(body)) as { title: string }).title.replace(/\s+/g, " ");
    return new Response(JSON.stringify({ title: kept }));
  });
  root = createRoot(document.body.appendChild(document.createElement("div")));
  await act(async () => root.render(<Page />));
});
afterEach(() => {
  act(() => root.unmount());
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

it("Enter saves the title, which is shown as it is kept", async () => {
  expect([field().value, field().placeholder]).toEqual(["The fox", "Untitled story"]);
  await write(" The fox  and the lantern ");
  await press("Enter");
  expect(asked).toEqual([`PATCH api/stories/${STORY} {"title":"The fox  and the lantern"}`]);
  expect(field().value).toBe("The fox and the lantern");
  expect(document.activeElement).not.toBe(field());
});

it("leaving saves too, also an empty title; unchanged ones are not sent", async () => {
  await write("The fox");
  await act(async () => field().blur());
  expect(asked).toEqual([]);
  await write("");
  await act(async () => field().blur());
  expect(asked).toEqual([`PATCH api/stories/${STORY} {"title":""}`]);
});

it("Escape takes back what was typed", async () => {
  await write("The cat");
  await press("Escape");
  expect([field().value, asked]).toEqual(["The fox", []]);
});

it("single keys and those of an input method only write", async () => {
  await write("The cat");
  await press("c");
  await press("Enter", { isComposing: true });
  expect(cut).not.toHaveBeenCalled();
  expect([document.activeElement, asked]).toEqual([field(), []]);
});

it("a title that cannot be kept stays in the field, and is said", async () => {
  fails = true;
  await write("The cat");
  await press("Enter");
  expect(wrong).toHaveBeenCalledWith("The disk is full.");
  expect(field().value).toBe("The cat");
  fails = false;
  await act(async () => field().focus());
  await press("Enter");
  expect(kept).toBe("The cat");
});

it("a story is called by its title, its setting, its first prompt", () => {
  const entry = { title: "", setting: "", prompt: "" } as Parameters<typeof titleOf>[0];
  const names = [{ title: "T", setting: "S", prompt: "P" }, { setting: "S", prompt: "P" }, { prompt: "P" }];
  expect(names.map((known) => titleOf({ ...entry, ...known }))).toEqual(["T", "S", "P"]);
  expect(titleOf(entry)).toBe("A story without a setting");
});
