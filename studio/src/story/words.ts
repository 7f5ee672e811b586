/** Words that the model does not know, and what it knows instead. */

import type { PromptMark } from "./prompts";

/** A stretch of text; `unknown` if it is a word outside the vocabulary. */
export interface Stretch {
  text: string;
  unknown: boolean;
}

/** The text in stretches, in order; together they are the text. */
export function stretches(
  text: string,
  known: ReadonlySet<string> | undefined,
  marks?: readonly PromptMark[],
): Stretch[] {
  if (!known) return text ? [{ text, unknown: false }] : [];
  const marked = marks && new Set(marks.filter(({ code }) => code === "unknown").map(({ words }) => words));
  const isUnknown = (word: string) => (marked ? marked.has(word) : !known.has(word.toLowerCase()));
  return text
    .split(/([a-zA-Z]+)/)
    .filter(Boolean)
    .map((part) => ({ text: part, unknown: /^[a-zA-Z]/.test(part) && isUnknown(part) }));
}

/** The known words that are written most alike, best first; none if nothing is near. */
export function suggestions(word: string, known: ReadonlySet<string>, most = 3): string[] {
  const wanted = word.toLowerCase();
  const reach = Math.max(1, Math.floor(wanted.length / 3));
  return [...known]
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate) }))
    .filter(({ distance }) => distance <= reach)
    .sort((one, other) => one.distance - other.distance || one.candidate.localeCompare(other.candidate))
    .slice(0, most)
    .map(({ candidate }) => candidate);
}

/** Which of these prompts, counted from 0, name nobody whom the model knows; none where it reads any word. */
export function nameless(prompts: string[], names: readonly string[]): number[] {
  if (names.length === 0) return [];
  const named = (prompt: string) =>
    prompt
      .toLowerCase()
      .split(/[^a-z]+/)
      .some((word) => names.includes(word));
  return prompts.flatMap((prompt, place) => (named(prompt) ? [] : [place]));
}

/** The text with a word in the place of what is selected, set off by spaces, and where the caret is then. */
export function withWord(text: string, word: string, from: number, to: number) {
  const [before, after] = [text.slice(0, from), text.slice(to)];
  const put = `${/[\w.,!?]$/.test(before) ? " " : ""}${word}${/^\w/.test(after) ? " " : ""}`;
  return { text: before + put + after, caret: from + put.length };
}

/** How many letters must be put in, taken out or changed (Levenshtein). */
export function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const change = row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[other.length]!;
}
