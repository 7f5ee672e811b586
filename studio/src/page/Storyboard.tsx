/** The shots as cards. */

import { useEffect, useRef, useState } from "react";
import { filmLength, numberOf } from "../story/numbers";
import { type Vocabulary, readModel } from "../story/server";
import { type StoryState, firstStale, inFilm } from "../story/state";
import { progressOf } from "../story/progress";
import { plannedOf, waitingShots } from "../story/script";
import type { Draft } from "../story/useDraft";
import type { Prompts } from "../story/usePrompts";
import type { OpenStory } from "../story/useStory";
import { AutoRetake } from "./AutoRetake";
import { Exports } from "./Exports";
import { Icon } from "./Icon";
import { PlannedCards } from "./Planned";
import { AddSound } from "./SoundTracks";
import { ToldCards } from "./ToldCards";
import { CANNOT } from "./cardDrag";

interface Props {
  open: OpenStory;
  vocabulary: Vocabulary;
  draft: Draft;
  prompts: Prompts;
}

export function Storyboard({ open, vocabulary, draft, prompts }: Props) {
  const { state, order, wrong } = open;
  const waiting = waitingShots(state.shots);
  const begun = state.shots.filter((shot) => !waiting.includes(shot));
  const told = inFilm(begun);
  const planned = draft.isScript ? draft.shots : [];
  const limits = state.stage?.limits;
  const planning = {
    known: vocabulary.words,
    most: limits?.prompt_characters,
    possible: {
      loras: useLoras(),
      mostSeconds: limits?.shot_seconds ?? 60,
      mostBytes: limits?.upload_bytes ?? Infinity,
    },
    storySeed: state.seed,
    wrong,
  };
  const stale = firstStale(state);
  const staleCount = state.shots.filter((shot) => shot.state === "stale").length;
  const list = useRef<HTMLOListElement>(null);
  const count = inFilm(state.shots).length + planned.length;
  const former = useRef(count);
  useEffect(() => {
    if (count > former.current) list.current?.scrollTo({ top: list.current.scrollHeight });
    const tookFocus = count < former.current && document.activeElement === document.body;
    if (tookFocus) list.current?.focus({ preventScroll: true }); // a card that went took it along
    former.current = count;
  }, [count]);
  return (
    <section className="storyboard" aria-labelledby="storyboard">
      <div className="row">
        <h2 id="storyboard">Storyboard</h2>
        {stale && (
          <p className="stale-note">
            {staleCount === 1 ? "One shot is" : `${staleCount} shots are`} out of date.
            <button type="button" onClick={() => order({ type: "reshoot", from_shot: stale.number })}>
              <Icon name="retake" /> Reshoot from {numberOf(state.shots, stale.number)}
            </button>
          </p>
        )}
        <span className="gap" />
        {state.shots.length > 0 && <AddSound open={open} />}
        <AutoRetake open={open} />
        {state.shots.length > 0 && <Exports story={open.story} />}
      </div>
      <ProgressLine state={state} />
      {count === 0 ? (
        <p className="dim">
          Every shot becomes a card here: play it, take it again, branch off, or change its words. Paste a
          whole script below, a line or paragraph for each shot, and all its cards are here at once.
        </p>
      ) : (
        <ol className="cards" ref={list} tabIndex={-1}>
          <ToldCards
            shots={told}
            open={open}
            vocabulary={vocabulary}
            prompts={prompts}
            othersFollow={waiting.length + planned.length > 0}
          />
          <PlannedCards
            first={filmLength(begun) + 1}
            shots={waiting.map(plannedOf)}
            state="queued"
            marksOf={({ prompt }) => prompts.marks(prompt)}
            {...planning}
            onTold={told.length > 0 ? () => wrong(CANNOT.waiting) : undefined}
            onChange={(shots) => order({ type: "replan", from_shot: begun.length, shots })}
          />
          <PlannedCards
            first={filmLength(state.shots) + 1}
            shots={planned}
            state="planned"
            marksOf={({ prompt }) => plannedMarks(prompts, prompt)}
            adaptedOf={({ prompt }) => prompts.changed(prompt)}
            {...planning}
            onTold={told.length > 0 && waiting.length === 0 ? () => wrong(CANNOT.waiting) : undefined}
            onChange={draft.setShots}
          />
        </ol>
      )}
    </section>
  );
}

/** What does not fit of what the model would get of a planned shot. */
function plannedMarks(prompts: Prompts, prompt: string) {
  const read = prompts.find(prompt);
  return (prompts.changed(prompt) ? read?.adapted?.marks : read?.marks) ?? [];
}

/** The LoRAs that shots can be made with. */
function useLoras(): string[] {
  const [loras, setLoras] = useState<string[]>([]);
  useEffect(() => {
    readModel().then(
      (model) => setLoras(model.loras),
      () => undefined, // the link says what is wrong
    );
  }, []);
  return loras;
}

/** How many shots of all are made, and how long the rest takes. */
function ProgressLine({ state }: { state: StoryState }) {
  const progress = progressOf(state);
  if (!progress) return null;
  const { shot, of, made, secondsLeft } = progress;
  return (
    <p className="progress-line dim">
      <progress value={made} aria-label="All planned shots" />
      <span>
        Shot {shot} of {of}
        {secondsLeft !== undefined && ` · about ${inWords(secondsLeft)} left`}
      </span>
    </p>
  );
}

const inWords = (seconds: number) =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
