/** One shot of the storyboard, and what can be done with it. */

import { useEffect, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import { newSeed } from "../story/link";
import { numberOf } from "../story/numbers";
import type { PromptMark } from "../story/prompts";
import { type Vocabulary, cardAddress } from "../story/server";
import { isTrimmed, shownFrames } from "../story/timeline";
import type { OpenStory } from "../story/useStory";
import { Compare } from "./Compare";
import { Continuity } from "./Continuity";
import { Marks, OwnWords } from "./Marks";
import { Menu } from "./Menu";
import { CardButton } from "./Planned";
import { Rewording } from "./Rewording";
import { namesOf } from "./ShotDetails";
import { Still } from "./Still";
import type { Moving } from "./cardDrag";
import { TrimEditor } from "./TrimEditor";

interface Props {
  shot: ShotCard;
  open: OpenStory;
  vocabulary?: Vocabulary;
  /** What of its words does not fit. */
  marks?: PromptMark[];
  /** How it is moved, where it can be. */
  moving?: Moving;
}

const STATE_WORDS = {
  queued: "Queued",
  skipped: "Skipped",
  live: "Live",
  done: "",
  stale: "Out of date",
  deleted: "", // it is not on the storyboard
} as const;

export function Card({ shot, open, vocabulary, marks, moving }: Props) {
  const { onScreen, story } = open;
  const [editing, setEditing] = useState<"words" | "trim">();
  const article = useRef<HTMLElement>(null);
  const { number } = shot;
  const closeEditor = () => {
    setEditing(undefined);
    article.current?.focus();
  };
  const isShown = onScreen?.shot === number;
  const place = numberOf(open.state.shots, number);
  const word = STATE_WORDS[shot.state];
  return (
    <li
      className="card panel"
      data-state={shot.state}
      data-over={moving?.isOver || undefined}
      aria-current={isShown || undefined}
      draggable={moving && !editing}
      onDragStart={moving?.onDragStart}
      onDragOver={moving?.onDragOver}
      onDragEnd={moving?.onDragEnd}
      onDrop={moving?.onDrop}
    >
      <article
        aria-label={`Shot ${place}`}
        ref={(element) => {
          article.current = element;
          moving?.element(element);
        }}
        tabIndex={moving ? 0 : -1}
        onKeyDown={moving?.onKeyDown}
      >
        {editing !== "trim" && (
          <div className="card-picture">
            <Still src={cardAddress(story, shot)} />
            <span className="slate">{place}</span>
            {word && <span className="card-state">{word}</span>}
            <Continuity shot={shot} place={place} />
            {shot.state !== "deleted" && <Marks place={place} marks={marks} />}
          </div>
        )}
        {editing === "trim" ? (
          <TrimEditor shot={shot} open={open} onDone={closeEditor} />
        ) : editing ? (
          <Rewording shot={shot} open={open} vocabulary={vocabulary} onDone={closeEditor} />
        ) : (
          <div className="card-body">
            <Words shot={shot} />
            <div className="card-actions">
              <span className="card-facts dim" title={`Seed ${shot.seed}`}>
                {lengthOf(shot, open.state.stage?.fps)}
                {shot.takes > 1 && ` · seed ${shot.seed}`}
                {shot.lora && ` · ${namesOf(shot.lora)}`}
              </span>
              <span className="card-buttons">
                {shot.takes > 1 && <Takes shot={shot} open={open} />}
                <Actions shot={shot} open={open} onEdit={setEditing} by={moving?.by} />
              </span>
            </div>
          </div>
        )}
      </article>
    </li>
  );
}

/** How long the film shows a shot; of how much, if it is trimmed. */
function lengthOf(shot: ShotCard, fps = 1): string {
  const whole = `${shot.length_seconds.toFixed(1)} s`;
  return isTrimmed(shot) ? `${(shownFrames(shot) / fps).toFixed(1)} of ${whole}` : whole;
}
/** So many takes are made where the best is to stand. */
const BEST_OF = 3;

/** Which take stands for a shot; another one plays as soon as it does. */
function Takes({ shot, open }: TakesProps) {
  const { number, take, takes, state } = shot;
  const { order, playFrom } = open;
  const place = numberOf(open.state.shots, number);
  const [comparing, setComparing] = useState(false);
  const wanted = useRef<number>(undefined);
  useEffect(() => {
    if (wanted.current !== take) return;
    wanted.current = undefined;
    playFrom(number);
  }, [take, number, playFrom]);
  const choose = (other: number) => {
    wanted.current = other;
    order({ type: "choose", shot: number, take: other });
  };
  const isMaking = state === "live" || state === "queued";
  return (
    <>
      {!isMaking && shot.made.length > 1 && (
        <CardButton
          icon="compare"
          name={`Compare takes of shot ${place}`}
          onClick={() => setComparing(true)}
        />
      )}
      <select
        className="card-takes"
        aria-label={`Take of shot ${place}`}
        value={take}
        disabled={isMaking}
        onChange={(event) => choose(Number(event.target.value))}
      >
        {Array.from({ length: takes }, (_, number) => (
          <option key={number} value={number}>
            take {number + 1}/{takes}
          </option>
        ))}
      </select>
      {comparing && (
        <Compare
          story={open.story}
          shot={shot}
          place={place}
          onClose={() => setComparing(false)}
          onChoose={(other) => other !== take && choose(other)}
        />
      )}
    </>
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
      <OwnWords written={shot.written} />
      {later.map(([chunk, text]) => (
        <p key={chunk} className="dim">
          then: {text}
        </p>
      ))}
    </div>
  );
}

interface ActionProps {
  shot: ShotCard;
  open: OpenStory;
  onEdit(what: "words" | "trim"): void;
  by?: Moving["by"];
}

function Actions({ shot, open: { state, order, playFrom }, onEdit, by }: ActionProps) {
  const [earlier, later] = [by?.(-1), by?.(1)];
  const { number, frames } = shot;
  const name = `shot ${numberOf(state.shots, number)}`;
  const retake = () => order({ type: "retake", shot: number, seed: newSeed() });
  return (
    <>
      <CardButton
        icon="play"
        name={`Play from ${name}`}
        disabled={frames === 0}
        onClick={() => playFrom(number)}
      />
      <CardButton icon="retake" name={`Retake ${name}`} disabled={frames === 0} onClick={retake} />
      <Menu icon="more" label={`More for ${name}`}>
        {(_, choice) => (
          <>
            {frames > 0 &&
              choice("best", `Best of ${BEST_OF} new takes`, () =>
                order({ type: "retake", shot: number, seed: newSeed(), takes: BEST_OF }),
              )}
            {choice("edit", "Change the words", () => onEdit("words"))}
            {frames > 0 && shot.state !== "live" && choice("trim", "Trim", () => onEdit("trim"))}
            {earlier && choice("up", "Earlier in the film", earlier)}
            {later && choice("down", "Later in the film", later)}
            {choice("branch", "Branch off here", () => order({ type: "branch", shot: number }))}
            {choice("pin", "Remember its first frame", () => order({ type: "pin", shot: number, frame: 0 }))}
            {choice("trash", "Delete", () => order({ type: "delete", shot: number }))}
          </>
        )}
      </Menu>
    </>
  );
}
