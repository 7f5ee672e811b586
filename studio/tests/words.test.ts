import { expect, it } from "vitest";
import { exampleOf, ideasFor, withIdea } from "../src/story/ideas";
import { editDistance, stretches, suggestions, withWord, nameless } from "../src/story/words";

const known = new Set(["the", "cat", "dancing", "dances", "walking", "a"]);

it("marks unknown words and leaves the text as it is", () => {
  const text = "The  Tiger, dancing 2x!";
  const parts = stretches(text, known);
  expect(parts.map((part) => part.text).join("")).toBe(text);
  expect(parts.filter((part) => part.unknown).map((part) => part.text)).toEqual(["Tiger", "x"]);
});

it("marks nothing for a model that knows any word", () => {
  expect(stretches("Quixotic.", undefined)).toEqual([{ text: "Quixotic.", unknown: false }]);
});

it("suggests what is written alike, best first, and nothing far-fetched", () => {
  expect(suggestions("Dansing", known)).toEqual(["dancing"]);
  expect(suggestions("hippopotamus", known)).toEqual([]);
});

it("counts edits", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("same", "same")).toBe(0);
});

it("sentences are offered in turn, pieces always all", () => {
  const sentences = ["A.", "B.", "C.", "D.", "E.", "F."];
  expect(ideasFor(sentences, 4)).toEqual(["E.", "F.", "A.", "B.", "C."]);
  expect(ideasFor(["wide shot", "dances"], 1)).toEqual(["wide shot", "dances"]);
  expect(exampleOf(["wide shot", "waves", "dances"])).toBe("wide shot, dances");
  expect(exampleOf(sentences)).toBe("A.");
  expect(exampleOf([])).toMatch(/^Wide shot/);
});

it("an idea is put behind what is written", () => {
  expect(withIdea(" ", "wide shot")).toBe("wide shot");
  expect(withIdea("wide shot ", "waves")).toBe("wide shot, waves");
  expect(withIdea("Wide shot.", "The cat waves.")).toBe("Wide shot. The cat waves.");
});

it("a word is put where the caret is, or in the place of what is selected, with room around it", () => {
  expect(withWord("The cat", "waves", 7, 7)).toEqual({ text: "The cat waves", caret: 13 });
  expect(withWord("The  cat", "big", 4, 4)).toEqual({ text: "The big cat", caret: 7 });
  expect(withWord("The zebra.", "cat", 4, 9)).toEqual({ text: "The cat.", caret: 7 });
  expect(withWord("Close up.The", "a", 9, 9).text).toBe("Close up. a The");
  expect(withWord("", "the", 0, 0).text).toBe("the");
});

it("finds the shots that name nobody whom the model knows", () => {
  const names = ["cat", "kitten"];
  expect(nameless(["The Cat waves.", "Close up.", "It concatenates.", "A kitten!"], names)).toEqual([1, 2]);
  expect(nameless(["Close up."], [])).toEqual([]);
});
