/** One shot of the storyboard, and what can be done with it. */

import { useEffect, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import { cardAddress } from "../story/server";
import type { OpenStory } from "../story/useStory";
import { Icon, type IconName } from "./Icon";
import { Menu } from "./Menu";
import { Still } from "./Still";
import { WordField } from "./WordField";

interface Props {
  shot: ShotCard;
  open: OpenStory;
  known?: string[] | null;
}

const STATE_WORDS = {
  queued: "Queued",
  live: "Live",
  done: "",
  stale: "Out of date",
  deleted: "Deleted",
} as const;

export function Card({ shot, open, known }: Props) {
  const { onScreen, story, order } = open;
  const [editing, setEditing] = useState(false);
  const article = useRef<HTMLElement>(null);
  const { number } = shot;
  const closeEditor = () => {
    setEditing(false);
    article.current?.focus();
  };
  const isShown = onScreen?.shot === number;
  const word = STATE_WORDS[shot.state];
  return (
    <li className="card panel" data-state={shot.state} aria-current={isShown || undefined}>
      <article aria-label={`Shot ${number + 1}`} ref={article} tabIndex={-1}>
        <div className="card-picture">
          <Still src={cardAddress(story, shot)} />
          <span className="slate">{number + 1}</span>
          {word && <span className="card-state">{word}</span>}
        </div>
        {editing ? (
          <PromptEditor
            prompt={shot.prompt}
            known={known}
            most={open.state.stage?.limits.prompt_characters}
            onCancel={closeEditor}
            onDone={(prompt) => {
              closeEditor();
              if (prompt !== shot.prompt) order({ type: "edit", shot: number, prompt });
            }}
          />
        ) : (
          <>
            <Words shot={shot} />
            <p className="card-facts dim">
              {shot.length_seconds.toFixed(1)} s · seed {shot.seed}
            </p>
            {shot.takes > 1 && shot.state !== "deleted" && <Takes shot={shot} open={open} />}
            <Actions shot={shot} open={open} onEdit={() => setEditing(true)} />
          </>
        )}
      </article>
    </li>
  );
}

/** Which take stands for a shot; another one plays as soon as it does. */
function Takes({ shot: { number, take, takes, state }, open: { order, playFrom } }: TakesProps) {
  const wanted = useRef<number>(undefined);
  useEffect(() => {
    if (wanted.current !== take) return;
    wanted.current = undefined;
    playFrom(number);
  }, [take, number, playFrom]);
  return (
    <select
      className="card-takes"
      aria-label={`Take of shot ${number + 1}`}
      value={take}
      disabled={state === "live" || state === "queued"}
      onChange={(event) => {
        wanted.current = Number(event.target.value);
        order({ type: "choose", shot: number, take: wanted.current });
      }}
    >
      {Array.from({ length: takes }, (_, number) => (
        <option key={number} value={number}>
          take {number + 1} of {takes}
        </option>
      ))}
    </select>
  );
}

interface TakesProps {
  shot: ShotCard;
  open: OpenStory;
}

function Words({ shot }: { shot: ShotCard }) {
  const later = shot.prompts.filter(([chunk]) => chunk > 0);
  return (
    <div className="card-words">
      <p title={shot.prompt}>{shot.prompt}</p>
      {later.map(([chunk, text]) => (
        <p key={chunk} className="dim">
          then: {text}
        </p>
      ))}
    </div>
  );
}

interface EditorProps {
  prompt: string;
  known?: string[] | null;
  most?: number;
  onDone(text: string): void;
  onCancel(): void;
}

function PromptEditor({ prompt, known, most = 2000, onDone, onCancel }: EditorProps) {
  const [text, setText] = useState(prompt);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.select(), []); // what is typed now must not be taken for single keys
  const done = () => text.trim() && onDone(text.trim());
  return (
    <div className="card-edit" onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <WordField
        label="New words"
        value={text}
        onChange={setText}
        onEnter={done}
        known={known}
        most={most}
        placeholder=""
        field={field}
      />
      <div className="row">
        <button type="button" className="primary" onClick={done}>
          Keep
        </button>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </div>
  );
}

interface ActionProps {
  shot: ShotCard;
  open: OpenStory;
  onEdit(): void;
}

function Actions({ shot, open: { order, playFrom }, onEdit }: ActionProps) {
  const { number, frames } = shot;
  const name = `shot ${number + 1}`;
  if (shot.state === "deleted") {
    return (
      <button
        type="button"
        onClick={() => order({ type: "choose", shot: number, take: shot.take })}
        aria-label={`Bring back ${name}`}
      >
        <Icon name="undo" /> Bring back
      </button>
    );
  }
  if (frames === 0) {
    return (
      <div className="row card-waits">
        <span className="dim">Waits for its turn.</span>
        <span className="gap" />
        <button
          type="button"
          className="quiet"
          onClick={() => order({ type: "delete", shot: number })}
          aria-label={`Take away ${name}`}
        >
          <Icon name="trash" />
        </button>
      </div>
    );
  }
  return (
    <div className="card-actions">
      <button
        type="button"
        onClick={() => playFrom(number)}
        disabled={frames === 0}
        aria-label={`Play from ${name}`}
      >
        <Icon name="play" /> Play
      </button>
      <button
        type="button"
        onClick={() => order({ type: "retake", shot: number })}
        aria-label={`Retake ${name}`}
      >
        <Icon name="retake" /> Retake
      </button>
      <Menu icon="more" label={`More for ${name}`}>
        {(close) => {
          const choice = (icon: IconName, words: string, act: () => void) => (
            <button type="button" onClick={() => (close(), act())}>
              <Icon name={icon} /> {words}
            </button>
          );
          return (
            <>
              {choice("edit", "Change the words", onEdit)}
              {choice("branch", "Branch off here", () => order({ type: "branch", shot: number }))}
              {choice("pin", "Remember its first frame", () =>
                order({ type: "pin", shot: number, frame: 0 }),
              )}
              {choice("trash", "Delete", () => order({ type: "delete", shot: number }))}
            </>
          );
        }}
      </Menu>
    </div>
  );
}
