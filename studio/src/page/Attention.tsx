/** Where a chunk of the newest shot looked: at which remembered frames, and at its own shot. */

import { useState } from "react";
import { numberOf } from "../story/numbers";
import { type AttentionRead, memoryAddress, readAttention } from "../story/server";
import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";
import { Still } from "./Still";
import { Wrong } from "./Wrong";

const ALL_LAYERS = "all";

export function Attention({ open }: { open: OpenStory }) {
  const { state, story } = open;
  const [read, setRead] = useState<AttentionRead>();
  const [layer, setLayer] = useState(ALL_LAYERS);
  const [asking, setAsking] = useState(false);
  const [wrong, setWrong] = useState<Error>();
  const look = (chunk?: number) => {
    setAsking(true);
    setWrong(undefined);
    readAttention(story, chunk)
      .then(setRead, setWrong)
      .finally(() => setAsking(false));
  };
  if (!state.shots.some(({ frames }) => frames > 0)) return null;
  if (!read) {
    return (
      <>
        <button type="button" className="quiet" disabled={asking} onClick={() => look()}>
          <Icon name="figures" /> Where does it look?
        </button>
        <Wrong error={wrong} />
      </>
    );
  }
  const shareOf = (overall: number, layers: number[]) =>
    layer === ALL_LAYERS ? overall : layers[Number(layer)]!;
  return (
    <div className="attention" aria-live="polite">
      <div className="row">
        <h3>
          Shot {numberOf(state.shots, read.shot)}, chunk {read.chunk + 1} looks at
        </h3>
        <span className="gap" />
        <button
          type="button"
          className="quiet round small"
          aria-label="No longer show where it looks"
          title="Close"
          onClick={() => setRead(undefined)}
        >
          <Icon name="close" />
        </button>
      </div>
      <ul>
        {read.frames.map((frame) => {
          const where =
            frame.frame < 0
              ? "A picture of yours"
              : `Shot ${numberOf(state.shots, frame.shot)}, frame ${frame.frame + 1}`;
          return (
            <Share
              key={`${frame.shot}.${frame.take}.${frame.frame}`}
              name={where}
              share={shareOf(frame.share, frame.layers)}
            >
              <Still src={pictureOf(open, frame)} />
            </Share>
          );
        })}
        <Share name="This shot" share={shareOf(read.own_share, read.own_layers)} />
      </ul>
      <div className="row">
        <label>
          Layer{" "}
          <select value={layer} onChange={(event) => setLayer(event.target.value)}>
            <option value={ALL_LAYERS}>all</option>
            {read.own_layers.map((_, number) => (
              <option key={number} value={number}>
                {number + 1}
              </option>
            ))}
          </select>
        </label>
        <span className="gap" />
        <button type="button" disabled={asking || read.chunk === 0} onClick={() => look(read.chunk - 1)}>
          Chunk before
        </button>
        <button type="button" disabled={asking} onClick={() => look()}>
          Newest
        </button>
      </div>
      <Wrong error={wrong} />
    </div>
  );
}

/** The picture of a frame; one that somebody brought is known by its number. */
function pictureOf({ state, story }: OpenStory, frame: AttentionRead["frames"][number]) {
  if (frame.frame >= 0) return memoryAddress(story, { ...frame, source: "rule" });
  const known = state.memory?.frames.find((one) => one.shot === frame.shot && one.frame === frame.frame);
  return known && memoryAddress(story, known);
}

function Share({ name, share, children }: { name: string; share: number; children?: React.ReactNode }) {
  return (
    <li className="share">
      {children ?? <span className="no-picture" />}
      <span>{name}</span>
      <meter min={0} max={1} value={share} aria-label={`${name}: ${percent(share)}`} />
      <span className="dim">{percent(share)}</span>
    </li>
  );
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
