/** Prompts as the server looks at them, while they are written and when they are told. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type Context, type PromptRead, changedBy, readPrompts } from "./prompts";

const TYPING_MS = 60;
/** An endpoint is asked when a person stops writing. */
const STOPPED_MS = 900;

type Reads = ReadonlyMap<string, PromptRead>;

interface Looked {
  reads: Reads;
  /** Why an endpoint did not adapt the newest. */
  problem?: string;
  ask(texts: string[]): Promise<Reads>;
}

/** What is known of texts, which are asked for as they come. */
function useLooked(context: Context, texts: string[], wanted: { adapt: boolean; delayMs?: number }): Looked {
  const { adapt, delayMs } = wanted;
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
      const told = await readPrompts(newest.current.context, asked, adapt);
      const reads = new Map(told.prompts.map((read) => [read.written, read]));
      setKnown((before) => ({
        key,
        reads: new Map([...(before.key === key ? before.reads : []), ...reads]),
        ...(told.problem && { problem: told.problem }),
      }));
      return reads as Reads;
    },
    [key, adapt],
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
) {
  const [isOn, setOn] = useState(() => localStorage.getItem(SWITCH) !== "off");
  const [kept, setKept] = useState<string>();
  const can = adapter !== null || context.cast.some(({ description }) => description);
  const delayMs = !can ? undefined : adapter === "endpoint" && isOn ? STOPPED_MS : TYPING_MS;
  const written = useLooked(context, drafts, { adapt: isOn, delayMs });
  const checked = useLooked(context, told, { adapt: false, delayMs: can ? STOPPED_MS : undefined });
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
