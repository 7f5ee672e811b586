/** Where the next shot is written. */

import { type FormEvent, type RefObject, useEffect, useState } from "react";
import type { Vocabulary } from "../story/server";
import { liveShot } from "../story/state";
import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";
import { WordField } from "./WordField";

interface Props {
  open: OpenStory;
  vocabulary: Vocabulary;
  field: RefObject<HTMLTextAreaElement | null>;
}

const LENGTHS_SECONDS = [2, 3, 5, 8, 12, 20, 30, 60];
const CHIPS_SHOWN = 5;

export function Composer({ open: { state, order }, vocabulary, field }: Props) {
  const [text, setText] = useDraft(state.stage?.story);
  const [seconds, setSeconds] = useState<number>();
  const refused = state.notices.at(-1);
  useEffect(() => {
    if (refused?.typed) setText((now) => now || refused.typed!);
  }, [refused?.number, refused?.typed, setText]);

  const running = liveShot(state);
  const ideas = nextIdeas(vocabulary.prompts, state.shots.length);
  const limits = state.stage?.limits;
  const give = (type: "shoot" | "redirect") => {
    const prompt = text.trim();
    if (!prompt || !state.stage) return field.current?.focus();
    order(type === "shoot" ? { type, prompt, ...(seconds && { seconds }) } : { type, prompt });
    setText("");
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    give("shoot");
  };
  return (
    <form className="panel composer" onSubmit={submit} aria-label="The next shot">
      <WordField
        label={running ? "And then? The next shot cuts in." : `Shot ${state.shots.length + 1}: what happens?`}
        value={text}
        onChange={setText}
        onEnter={() => give("shoot")}
        onControlEnter={running && (() => give("redirect"))}
        known={vocabulary.words}
        most={limits?.prompt_characters ?? 2000}
        placeholder={ideas[0] ?? "Wide shot. She opens the door and steps into the rain."}
        field={field}
      />
      <Chips prompts={ideas} onChoose={setText} />
      <div className="row end">
        <label className="inline">
          Length
          <select
            value={seconds ?? ""}
            onChange={(event) => setSeconds(Number(event.target.value) || undefined)}
          >
            <option value="">as learnt</option>
            {LENGTHS_SECONDS.filter((length) => length <= (limits?.shot_seconds ?? 60)).map((length) => (
              <option key={length} value={length}>
                {length} s
              </option>
            ))}
          </select>
        </label>
        <span className="gap" />
        {running && (
          <button
            type="button"
            onClick={() => give("redirect")}
            title="The running shot goes on by these words (Ctrl+Enter)"
          >
            <Icon name="redirect" /> Redirect
          </button>
        )}
        <button type="submit" className="primary" title="Enter">
          <Icon name="shoot" /> {running ? "Cut to this" : "Shoot"}
        </button>
      </div>
    </form>
  );
}

function Chips({ prompts, onChoose }: { prompts: string[]; onChoose(text: string): void }) {
  if (prompts.length === 0) return null;
  return (
    <ul className="chips" aria-label="Ideas">
      {prompts.map((prompt) => (
        <li key={prompt}>
          <button type="button" className="chip" onClick={() => onChoose(prompt)}>
            {prompt}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Other ideas for every shot, in turn. */
function nextIdeas(prompts: string[], shots: number): string[] {
  const start = prompts.length && shots % prompts.length;
  return [...prompts.slice(start), ...prompts.slice(0, start)].slice(0, CHIPS_SHOWN);
}

/** Text that outlives a reload of the page. */
function useDraft(story: string | undefined) {
  const key = `draft ${story ?? location.hash.slice(2)}`;
  const draft = useState(() => sessionStorage.getItem(key) ?? "");
  useEffect(() => sessionStorage.setItem(key, draft[0]), [key, draft[0]]);
  return draft;
}
