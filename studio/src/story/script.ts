/** A script that is written or pasted: one shot a line or paragraph, as `media/scripts.py` reads it. */

import type { PlannedShot, ShotCard } from "../protocol";

/** What a script tells. */
export interface Script {
  title: string;
  /** The first scene's heading; empty if shots come before any heading. */
  setting: string;
  /** Prompts in order. A shot of another scene than the first begins with its scene's heading. */
  shots: string[];
}

const HEADING = /^(#{1,6})\s+(.*?)[\s#]*$/;
const LIST_ITEM = /^(?:[-*+]|\d{1,4}[.)])\s+/;
const PARAGRAPHS = /\S[ \t]*\n[ \t]*\n+[ \t]*\S/;

/**
 * The shots of a text.
 *
 * A paragraph is a shot; without blank lines, every line is. Items of a list are shots of their own. In Markdown,
 * the first heading of level 1 is the title and others begin scenes.
 */
export function readScript(written: string, kind: "txt" | "md" = "txt"): Script {
  const text = written.replace(/\r\n?/g, "\n");
  const byParagraph = PARAGRAPHS.test(text);
  const script: Script = { title: "", setting: "", shots: [] };
  let scene = "";
  let shot: string[] = [];
  const end = () => {
    const prompt = words(shot.join(" "));
    if (prompt) script.shots.push(scene ? `${scene} ${prompt}` : prompt);
    shot = [];
  };
  const opens = (heading: string) => {
    if (script.shots.length > 0 || script.setting) scene = heading === script.setting ? "" : heading;
    else script.setting = heading;
  };
  for (const line of text.split("\n").map((one) => one.trim())) {
    const heading = kind === "md" ? HEADING.exec(line) : null;
    if (!line || heading || !byParagraph || LIST_ITEM.test(line)) end();
    if (!heading) shot.push(line.replace(LIST_ITEM, ""));
    else if (heading[1]!.length === 1 && !script.title) script.title = heading[2]!;
    else opens(sentence(heading[2]!));
  }
  end();
  return script;
}

const words = (text: string) =>
  text
    .replace(/(?<!\\)[*_]+/g, "")
    .split(/\s+/)
    .filter(Boolean)
    .join(" ");

function sentence(heading: string): string {
  const said = words(heading);
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".");
}

/**
 * The ending of the files that a text is one of; nothing where it is plain text or Markdown, which stand for
 * themselves.
 */
export function kindOf(text: string): "json" | "yaml" | "csv" | "fountain" | "fdx" | undefined {
  const start = text.trimStart();
  if (start.startsWith("{") && /"(?:shots|global_caption|shot1)"\s*:/.test(start)) return "json";
  if (/^(?:<\?xml[^>]*>\s*)?<FinalDraft\b/.test(start)) return "fdx";
  if (/^(?:shots|global_caption)\s*:/m.test(start) && /^[a-z_0-9]+\s*:/.test(start)) return "yaml";
  if (COLUMNS.test(start)) return "csv";
  return /^(?:INT|EXT|EST|INT\.?\/EXT|I\/E)[. ]+\S/m.test(start) ? "fountain" : undefined;
}

/** Names of columns, a prompt among them, and a line after them. */
const COLUMNS = /^(?=[^\n]*\bprompt\b)"?[a-z_]+"?(?:[,;\t]"?[a-z_]+"?)+\s*\n\s*\S/i;

/** The text that `readScript` reads as these shots. */
export const writeScript = (shots: string[]) => shots.join("\n\n");

/** Whether a text has more shots than one. */
export const isScript = (text: string) => readScript(text).shots.length > 1;

/** The shots of a text, with what is known of those with the same words, or else in the same places. */
export function withDetails(prompts: string[], known: PlannedShot[]): PlannedShot[] {
  const left = new Set(known);
  const found = prompts.map((prompt) => {
    const same = [...left].find((shot) => shot.prompt === prompt);
    if (same) left.delete(same);
    return same;
  });
  return prompts.map((prompt, place) => {
    const there = known[place];
    const changed = prompts.length === known.length && there && left.has(there) ? there : undefined;
    return { ...(found[place] ?? changed), prompt };
  });
}

/** What a card of a shot that waits was ordered as. */
export const plannedOf = (shot: ShotCard): PlannedShot => ({
  prompt: shot.prompt,
  seconds: shot.length_seconds,
  seed: shot.seed,
  ...(shot.written && { written: shot.written }),
  ...(shot.lora && { lora: shot.lora }),
  ...(shot.references.length > 0 && { references: shot.references }),
  ...(shot.state === "skipped" && { skipped: true }),
  ...(shot.in_frame > 0 && { in_frame: shot.in_frame }),
  ...(typeof shot.out_frame === "number" && { out_frame: shot.out_frame }),
});

/** The new shots that wait, skipped ones too; one that has begun and has no picture yet is none of them. */
export function waitingShots(shots: ShotCard[]): ShotCard[] {
  const isUnmade = ({ state, chunks }: ShotCard) => state === "queued" && chunks === 0;
  const isOther = ({ state, chunks }: ShotCard) => state === "live" || (state === "queued" && chunks > 0);
  const begun = shots.some(isOther) ? undefined : shots.find(isUnmade);
  return shots.filter((shot) => shot.state === "skipped" || (isUnmade(shot) && shot !== begun));
}

/** A list with one of its items at another place. */
export function moved<T>(items: T[], from: number, to: number): T[] {
  const others = items.filter((_, place) => place !== from);
  return [...others.slice(0, to), items[from]!, ...others.slice(to)];
}
