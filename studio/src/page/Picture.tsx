/** The live picture. */

import type { OpenStory } from "../story/useStory";
import { whyNoVideo } from "../video/screen";

interface Props {
  open: OpenStory;
  canvas(element: HTMLCanvasElement | null): void;
}

export function Picture({ open, canvas }: Props) {
  const { state, onScreen, follow } = open;
  const [width, height] = state.stage?.size ?? [16, 9];
  const shot = state.shots.find(({ number }) => number === onScreen?.shot);
  const saying = onScreen ? `Shot ${onScreen.shot + 1}: ${shot?.prompt ?? ""}` : "No picture yet";
  return (
    <figure className="picture">
      <canvas ref={canvas} role="img" aria-label={saying} width={width} height={height} />
      {!onScreen && <Empty open={open} />}
      {onScreen && (
        <figcaption>
          <span className="slate">
            {onScreen.shot + 1}
            {shot && shot.takes > 1 && <small> take {onScreen.take + 1}</small>}
          </span>
          <span className="caption">{shot?.prompt}</span>
          {onScreen.isReplay && (
            <button type="button" className="chip" onClick={follow}>
              Replay · go to now
            </button>
          )}
        </figcaption>
      )}
    </figure>
  );
}

function Empty({ open: { state } }: { open: OpenStory }) {
  if (!state.stage) return null;
  const hint = "Nothing shot yet. Write the first shot below and press Enter.";
  const text = whyNoVideo() ?? (state.shots.length > 0 ? "The first frame is on its way …" : hint);
  return <p className="picture-empty">{text}</p>;
}
