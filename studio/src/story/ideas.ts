/** What is offered to write: whole prompts, or pieces that one is put together from, as the model has them. */

const MOST_SHOWN = 12;
const MOST_SENTENCES_SHOWN = 5;
const DEFAULT = "Wide shot. She opens the door and steps into the rain.";

const isSentence = (text: string) => /[.!?]$/.test(text);

/** Ideas for the next shot: other sentences every time, pieces always the same. */
export function ideasFor(prompts: string[], shots: number): string[] {
  if (!prompts.every(isSentence)) return prompts.slice(0, MOST_SHOWN);
  const start = prompts.length && shots % prompts.length;
  return [...prompts.slice(start), ...prompts.slice(0, start)].slice(0, MOST_SENTENCES_SHOWN);
}

/** An example of what can be written, in the words of these ideas. */
export function exampleOf(ideas: string[]): string {
  const [first, last] = [ideas[0], ideas.at(-1)];
  if (!first || !last) return DEFAULT;
  return isSentence(first) ? first : `${first}, ${last}`;
}

/** The text with an idea put behind it. */
export function withIdea(text: string, idea: string): string {
  const before = text.trimEnd();
  if (!before) return idea;
  return `${before}${isSentence(before) || isSentence(idea) ? "" : ","} ${idea}`;
}
