/** One shot of the storyboard, and what can be done with it. */

import { useState } from "react";
import type { ShotEntry } from "../protocol";
import type { OpenStory } from "../story/useStory";
import { Icon, type IconName } from "./Icon";
import { WordField } from "./WordField";

interface Props {
  shot: ShotEntry;
  isLast: boolean;
  open: OpenStory;
  known?: string[];
}

const STATE_WORDS = { queued: "Queued", live: "Live", done: "", stale: "Older text" } as const;

export function Card({ shot, isLast, open, known }: Props) {
  const { onScreen, thumbnails, order } = open;
  const [editing, setEditing] = useState(false);
  const { number } = shot;
  const thumbnail = thumbnails.get(`${number}/${shot.take}`) ?? shot.thumbnail;
  const isShown = onScreen?.shot === number;
  const word = STATE_WORDS[shot.state];
  return (
    <li className="card panel" data-state={shot.state} aria-current={isShown || undefined}>
      <article aria-label={`Shot ${number + 1}`}>
        <div className="card-picture">
          {thumbnail ? <img src={thumbnail} alt="" /> : <span className="no-picture" />}
          <span className="slate">{number + 1}</span>
          {word && <span className="card-state">{word}</span>}
        </div>
        {editing ? (
          <PromptEditor
            prompt={shot.prompt}
            known={known}
            most={open.state.stage?.limits.prompt_characters}
            onCancel={() => setEditing(false)}
            onDone={(prompt) => {
              setEditing(false);
              if (prompt !== shot.prompt) order({ type: "edit", shot: number, prompt });
            }}
          />
        ) : (
          <>
            <Words shot={shot} />
            <p className="card-facts dim">
              {shot.length_seconds.toFixed(1)} s · seed {shot.seed}
              {shot.takes > 1 && ` · take ${shot.take + 1} of ${shot.takes}`}
            </p>
            <Actions shot={shot} isLast={isLast} open={open} onEdit={() => setEditing(true)} />
          </>
        )}
      </article>
    </li>
  );
}

function Words({ shot }: { shot: ShotEntry }) {
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
  known?: string[];
  most?: number;
  onDone(text: string): void;
  onCancel(): void;
}

function PromptEditor({ prompt, known, most = 2000, onDone, onCancel }: EditorProps) {
  const [text, setText] = useState(prompt);
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

function Actions({
  shot,
  isLast,
  open,
  onEdit,
}: {
  shot: ShotEntry;
  isLast: boolean;
  open: OpenStory;
  onEdit(): void;
}) {
  const { order, playFrom, canPlay } = open;
  const [more, setMore] = useState(false);
  const { number } = shot;
  const name = `shot ${number + 1}`;
  const choice = (icon: IconName, words: string, act: () => void) => (
    <button type="button" onClick={() => (setMore(false), act())}>
      <Icon name={icon} /> {words}
    </button>
  );
  return (
    <div className="card-actions" onKeyDown={(event) => event.key === "Escape" && setMore(false)}>
      <button
        type="button"
        onClick={() => playFrom(number)}
        disabled={!canPlay(shot)}
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
      <button
        type="button"
        onClick={() => setMore(!more)}
        aria-expanded={more}
        aria-label={`More for ${name}`}
      >
        <Icon name="more" />
      </button>
      {more && (
        <div className="menu panel">
          {choice("edit", "Change the words", onEdit)}
          {choice("branch", "Branch off here", () => order({ type: "branch", shot: number }))}
          {choice("pin", "Remember its first frame", () => order({ type: "pin", shot: number, frame: 0 }))}
          {isLast && choice("trash", "Delete", () => order({ type: "delete", shot: number }))}
        </div>
      )}
    </div>
  );
}
