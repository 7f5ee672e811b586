/** The in and out points of a shot, set on a strip of its whole take. */

import { type CSSProperties, useEffect, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import { numberOf } from "../story/numbers";
import { stillAddress } from "../story/server";
import { pointsOf, shownOf } from "../story/timeline";
import type { OpenStory } from "../story/useStory";
import { Still } from "./Still";

/** The keys of this editor; the help lists them. */
export const TRIM_KEYS = [
  { key: "← → Home End", says: "Move a point (where a shot is trimmed)" },
  { key: "Enter Esc", says: "Keep the points, or leave them as they were (there)" },
] as const;

interface Props {
  shot: ShotCard;
  open: OpenStory;
  onDone(): void;
}

export function TrimEditor({ shot, open: { story, state, order }, onDone }: Props) {
  const { number, take, frames } = shot;
  const fps = state.stage?.fps ?? 1;
  const place = numberOf(state.shots, number);
  const [points, setPoints] = useState(() => shownOf(shot));
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  const { first: from, last: to } = points;
  const send = (first: number, last: number) => {
    order({ type: "trim", shot: number, ...pointsOf(shot, first, last) });
    onDone();
  };
  const keep = () => {
    const now = shownOf(shot);
    if (from === now.first && to === now.last) return onDone();
    send(from, to);
  };
  const still = (frame: number) => stillAddress(story, { shot: number, take, frame });
  const thumb = (name: "In" | "Out", value: number, onChange: (frame: number) => void) => (
    <input
      type="range"
      ref={name === "In" ? first : undefined}
      aria-label={`${name} point of shot ${place}`}
      aria-valuetext={`frame ${value + 1} of ${frames}, ${(value / fps).toFixed(1)} seconds`}
      data-point={name}
      min={0}
      max={frames - 1}
      value={value}
      onChange={({ target }) => onChange(Number(target.value))}
    />
  );
  const share = (frame: number) => `${(100 * frame) / Math.max(1, frames)}%`;
  return (
    <div
      className="card-edit trim"
      onKeyDown={(event) => {
        event.stopPropagation(); // arrows move a point, not the picture
        if (event.key === "Escape") onDone();
        if (event.key === "Enter" && event.target instanceof HTMLInputElement) keep();
      }}
    >
      <div className="trim-pictures">
        <div>
          <Still src={still(from)} />
          <b className="slate">{place}</b>
          <span>In {(from / fps).toFixed(2)} s</span>
        </div>
        <div>
          <Still src={still(to)} />
          <span>Out {((to + 1) / fps).toFixed(2)} s</span>
        </div>
      </div>
      <div className="trim-strip" style={{ "--from": share(from), "--to": share(to + 1) } as CSSProperties}>
        <span className="trim-kept" aria-hidden="true" />
        {thumb("In", from, (frame) => setPoints({ first: Math.min(frame, to), last: to }))}
        {thumb("Out", to, (frame) => setPoints({ first: from, last: Math.max(frame, from) }))}
      </div>
      <div className="row">
        <span className="dim trim-length">
          {((to - from + 1) / fps).toFixed(1)} of {(frames / fps).toFixed(1)} s
        </span>
        <span className="gap" />
        <button type="button" className="quiet" onClick={() => send(0, frames - 1)}>
          Whole shot
        </button>
        <button type="button" onClick={onDone}>
          Cancel
        </button>
        <button type="button" className="primary" onClick={keep}>
          Keep
        </button>
      </div>
    </div>
  );
}
