import { describe, expect, it } from "vitest";
import { isScript, kindOf, moved, readScript, withDetails, writeScript } from "../src/story/script";
import cases from "./scripts.json";

describe("a script", () => {
  it.each(cases)("$name", ({ kind, text, title, setting, shots }) => {
    expect(readScript(text, kind as "txt" | "md")).toEqual({ title, setting, shots });
  });

  it("is written as it is read", () => {
    const shots = ["Wide shot. The cat waves.", "The cat jumps.", "The cat sleeps."];
    expect(readScript(writeScript(shots)).shots).toEqual(shots);
  });

  it("has more shots than one", () => {
    expect(isScript("The cat waves.\n")).toBe(false);
    expect(isScript("The cat waves.\nThe cat jumps.")).toBe(true);
  });
});

describe("what is known of a shot besides its words", () => {
  const known = [
    { prompt: "The cat waves.", seed: 1 },
    { prompt: "The cat jumps.", seconds: 3 },
  ];

  it("goes along with its words", () => {
    expect(withDetails(["The cat jumps.", "New.", "The cat waves."], known)).toEqual([
      { prompt: "The cat jumps.", seconds: 3 },
      { prompt: "New." },
      { prompt: "The cat waves.", seed: 1 },
    ]);
  });

  it("stays in its place while they are typed", () => {
    expect(withDetails(["The cat wave", "The cat jumps."], known)[0]).toEqual({
      prompt: "The cat wave",
      seed: 1,
    });
  });
});

it("an item is moved to another place", () => {
  expect(moved([1, 2, 3], 0, 2)).toEqual([2, 3, 1]);
  expect(moved([1, 2, 3], 2, 0)).toEqual([3, 1, 2]);
  expect(moved([1, 2, 3], 1, 1)).toEqual([1, 2, 3]);
});

it.each([
  ["json", '{"global_caption": "A cat.", "shot1": "It runs."}'],
  ["yaml", "setting: A cat.\nshots:\n- It runs.\n"],
  ["csv", "prompt,seed\nIt runs.,3\n"],
  ["csv", "seed;Prompt\n3;It runs.\n"],
  ["fdx", '<?xml version="1.0"?>\n<FinalDraft></FinalDraft>'],
  ["fountain", "EXT. MEADOW - DAY\n\nIt runs.\n"],
  [undefined, "The cat waves, then sleeps.\nA prompt, and so on."],
  [undefined, "# Night\n\nThe cat waves."],
])("what is pasted is known for a file: %s", (kind, text) => {
  expect(kindOf(text)).toBe(kind);
});
