/** What the server says of prompts: what the model would get, and what does not fit the story. */

import type { SheetCharacter } from "../protocol";
import { mistake, NotThere, NO_ANSWER } from "./server";

/** One thing that does not fit. */
export interface PromptMark {
  code: "nobody" | "stranger" | "looks" | "setting" | "name" | "unknown";
  /** What is said, as it stands there; empty for a shot that names nobody. */
  words: string;
  sentence: string;
  /** What to say instead, the nearest first. */
  near: string[];
}

/** A text in the model's form. */
export interface Adapted {
  prompt: string;
  notes: string[];
  marks: PromptMark[];
}

export interface PromptRead {
  written: string;
  marks: PromptMark[];
  /** Null if it has the model's form already, or nobody asked. */
  adapted: Adapted | null;
}

export interface PromptsRead {
  setting: PromptRead;
  prompts: PromptRead[];
  by: "rules" | "endpoint";
  /** Why the endpoint did not adapt them. */
  problem: string | null;
}

export interface Context {
  setting: string;
  cast: SheetCharacter[];
}

/** So many at once, so that a message stays within what the server takes. */
const AT_ONCE = 25;
const PATIENCE_MS = 120_000;

/**
 * Asks what the model would get of prompts.
 *
 * @throws Error with a sentence for the person.
 */
export async function readPrompts({ setting, cast }: Context, prompts: string[], adapt: boolean) {
  const named = cast.map(({ name, description }) => ({ name, description }));
  const parts: PromptsRead[] = [];
  for (let from = 0; from === 0 || from < prompts.length; from += AT_ONCE) {
    const body = { setting, cast: named, prompts: prompts.slice(from, from + AT_ONCE), adapt };
    parts.push(await ask(body));
  }
  return { ...parts.at(-1)!, prompts: parts.flatMap((part) => part.prompts) };
}

/**
 * Asks what the model would get of settings.
 *
 * @throws Error with a sentence for the person.
 */
export async function readSettings({ cast }: Context, settings: string[], adapt: boolean) {
  const named = cast.map(({ name, description }) => ({ name, description }));
  const asked = settings.map((setting) => ask({ setting, cast: named, adapt }));
  return { prompts: (await Promise.all(asked)).map(({ setting }) => setting), problem: null };
}

async function ask(body: object): Promise<PromptsRead> {
  const answer = await fetch("api/prompts", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).catch(() => {
    throw new NotThere(NO_ANSWER);
  });
  if (!answer.ok) throw mistake(answer.status, await answer.text().catch(() => ""));
  return (await answer.json()) as PromptsRead;
}

/** What the model gets of a text: the adapted one if there is one that differs. */
export const changedBy = (read: PromptRead | undefined) =>
  read?.adapted && read.adapted.prompt !== read.written ? read.adapted.prompt : undefined;
