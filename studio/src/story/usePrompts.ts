/** Prompts as the server looks at them, while they are written and when they are told. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type Context, type PromptMark, type PromptRead, changedBy, readPrompts } from "./prompts";

const TYPING_MS = 60;
/** An endpoint is asked when a person stops writing. */
const STOPPED_MS = 900;

type Reads = ReadonlyMap<string, PromptRead>;
type TextsRead = { prompts: PromptRead[]; problem: string | null };

/** Asks the server about texts: as prompts of a story, or each as a setting. */
type Read = (context: Context, texts: string[], adapt: boolean) => Promise<TextsRead>;

interface Looked {
  reads: Reads;
  /** Why an endpoint did not adapt the newest. */
  problem?: string;
  ask(texts: string[]): Promise<Reads>;
}

interface Wanted {
  adapt: boolean;
  /** Texts are not asked for by themselves without it. */
  delayMs?: number;
  read: Read;
}

/** What is known of texts, which are asked for as they come. */
function useLooked(context: Context, texts: string[], wanted: Wanted): Looked {
  const { adapt, delayMs, read } = wanted;
  const { setting } = context;
  const names = JSON.stringify(context.cast.map(({ name, description }) => [name, description]));
  const key = JSON.stringify([setting, names, adapt]);
  const [known, setKnown] = useState<{ key: string; reads: Reads; problem?: string }>({
    key,
    reads: new Map(),
  });
  const newest = useRef({ key, context, known });
  newest.current = { key, context, known };
  const ask = useCallback(
    async (asked: string[]) => {
      const told = await read(newest.current.context, asked, adapt);
      const reads = new Map(told.prompts.map((one) => [one.written, one]));
      setKnown((before) => ({
        key,
        reads: new Map([...(before.key === key ? before.reads : []), ...reads]),
        ...(told.problem && { problem: told.problem }),
      }));
      return reads as Reads;
    },
    [key, adapt, read],
  );
  const reads = useMemo(() => (known.key === key ? known.reads : (new Map() as Reads)), [known, key]);
  const missing = texts.filter((text) => text && !reads.has(text));
  const missed = JSON.stringify(missing);
  useEffect(() => {
    const lacking = JSON.parse(missed) as string[];
    if (delayMs === undefined || lacking.length === 0) return;
    const timer = setTimeout(() => ask(lacking).catch(() => undefined), delayMs);
    return () => clearTimeout(timer);
  }, [missed, ask, delayMs]);
  return { reads, ask, ...(known.key === key && known.problem && { problem: known.problem }) };
}

const SWITCH = "adapt prompts";

/** What the model gets of what is being written, and what does not fit; the person may keep their own words. */
export function usePrompts(
  context: Context,
  adapter: "rules" | "endpoint" | null,
  drafts: string[],
  told: string[],
  read: Read = readPrompts,
) {
  const [isOn, setOn] = useState(() => localStorage.getItem(SWITCH) !== "off");
  const [kept, setKept] = useState<string>();
  const can = adapter !== null || context.cast.some(({ description }) => description);
  const delayMs = !can ? undefined : adapter === "endpoint" && isOn ? STOPPED_MS : TYPING_MS;
  const written = useLooked(context, drafts, { adapt: isOn, delayMs, read });
  const checked = useLooked(context, told, {
    adapt: false,
    delayMs: can ? STOPPED_MS : undefined,
    read,
  });
  const changed = useCallback(
    (text: string) => (isOn && kept !== text ? changedBy(written.reads.get(text)) : undefined),
    [isOn, kept, written.reads],
  );
  return {
    can,
    isOn,
    turn: () => {
      localStorage.setItem(SWITCH, isOn ? "off" : "on");
      setOn(!isOn);
    },
    /** Whether the person wants their own words of this text. */
    keepsOwn: (text: string) => kept === text,
    keepOwn: (text: string | undefined) => setKept(text),
    /** What is known of a text that is being written. */
    find: (text: string): PromptRead | undefined => written.reads.get(text),
    /** What does not fit of words that will be told as they are written; nothing before all were looked at. */
    marksAsWritten: (texts: string[]): PromptMark[] | undefined => {
      const reads = texts.filter(Boolean).map((text) => written.reads.get(text));
      if (reads.length === 0 || reads.includes(undefined)) return undefined;
      return reads.flatMap((one) => (changed(one!.written) ? [] : one!.marks));
    },
    problem: isOn ? written.problem : undefined,
    /** What the model gets instead of a text; nothing if that is the text itself. */
    changed,
    /** Which texts must be asked for before it is known what the model gets. */
    unknown: (texts: string[]) => (can && isOn ? texts.filter((text) => !written.reads.has(text)) : []),
    ask: written.ask,
    /** What an order tells of a text. */
    order: (text: string) => {
      const prompt = changed(text);
      return prompt === undefined ? { prompt: text } : { prompt, written: text };
    },
    /** What does not fit of what is told. */
    marks: (prompt: string) => (can ? (checked.reads.get(prompt)?.marks ?? []) : []),
  };
}

export type Prompts = ReturnType<typeof usePrompts>;
