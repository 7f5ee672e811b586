/** The takes of a shot side by side; a key chooses the better one. */

import { useEffect, useRef } from "react";
import type { ShotCard } from "../protocol";
import { takeAddress } from "../story/server";
import { TakeContinuity, bestOf } from "./Continuity";
import { Icon } from "./Icon";

interface Props {
  story: string;
  shot: ShotCard;
  /** The number of the shot that people see. */
  place: number;
  onChoose(take: number): void;
  onClose(): void;
}

/** As many as there are keys for; of more, the newest. */
const MOST_TAKES = 9;

/** The keys of this view; the help lists them. */
export const COMPARE_KEYS = [
  { key: `1 – ${MOST_TAKES}`, says: "Choose a take (where takes are compared)" },
] as const;

export function Compare({ story, shot, place: number, onChoose, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const takes = shot.made.slice(-MOST_TAKES);
  const best = bestOf(shot);
  const choose = (place: number) => {
    const entry = takes[place];
    if (!entry) return;
    onChoose(entry[0]);
    dialog.current?.close();
  };
  return (
    <dialog
      className="panel compare"
      ref={dialog}
      onClose={onClose}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") dialog.current?.close();
        if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
      }}
      aria-labelledby="compare"
    >
      <header className="row">
        <h2 id="compare">Takes of shot {number}</h2>
        <span className="gap" />
        <button
          type="button"
          className="quiet round"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Icon name="close" />
        </button>
      </header>
      <p className="dim">Press the number of the better one.</p>
      <ul>
        {takes.map(([take, seed], place) => (
          <li key={take} aria-current={take === shot.take || undefined}>
            <button type="button" autoFocus={take === shot.take} onClick={() => choose(place)}>
              <video src={takeAddress(story, shot.number, take)} muted loop autoPlay playsInline />
              <span>
                <kbd>{place + 1}</kbd> take {take + 1}
                {take === shot.take && " · chosen"}
                <small className="dim"> seed {seed}</small>
                {take === best && (
                  <b className="best">
                    <Icon name="best" /> best
                  </b>
                )}
              </span>
              <TakeContinuity shot={shot} take={take} />
            </button>
          </li>
        ))}
      </ul>
    </dialog>
  );
}
