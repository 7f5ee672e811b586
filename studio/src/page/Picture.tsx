/** The picture: what is made now, or what was asked for. */

import { clipAddress, stillAddress } from "../story/server";
import { type StoryState, promptAt } from "../story/state";
import type { OpenStory } from "../story/useStory";
import { pictureNote, screenKind } from "../video/screen";

export function Picture({ open }: { open: OpenStory }) {
  const { state, onScreen, end, clip, setElement } = open;
  const [width, height] = sizeOf(state);
  const saying = onScreen ? `Shot ${onScreen.shot + 1}: ${promptOn(open)}` : "No picture yet";
  return (
    <figure className="picture">
      <div className="screen-box">
        {screenKind() === "video" ? (
          <video
            ref={setElement}
            className="screen"
            data-empty={!onScreen || undefined}
            aria-label={saying}
            width={width}
            height={height}
            muted
          />
        ) : (
          <canvas
            ref={setElement}
            className="screen"
            data-empty={!onScreen || undefined}
            role="img"
            aria-label={saying}
            width={width}
            height={height}
          />
        )}
        {end && <img className="over" src={stillAddress(open.story, end)} alt={saying} />}
        {clip && <Clip key={`${clip.number}/${clip.take}`} open={open} clip={clip} />}
        {!onScreen && <Empty open={open} />}
      </div>
      <Caption open={open} />
    </figure>
  );
}

/** Of the model's picture, in pixels; a guess before the server has said it. */
export const sizeOf = ({ stage }: StoryState): [number, number] => stage?.size ?? [832, 480];

function Caption({ open }: { open: OpenStory }) {
  const { state, onScreen, follow, goOn } = open;
  if (!onScreen) return <figcaption />; // its room is kept, so that nothing moves when the first frame comes
  const shot = state.shots.find(({ number }) => number === onScreen.shot);
  const { look, frame } = onScreen;
  return (
    <figcaption>
      <span className="slate">
        {onScreen.shot + 1}
        {shot && shot.takes > 1 && <small> take {onScreen.take + 1}</small>}
      </span>
      <span className="caption">{promptOn(open)}</span>
      {look === "still" && (
        <button type="button" className="chip" onClick={goOn}>
          Frame {frame + 1} · play on
        </button>
      )}
      {look !== "live" && (
        <button type="button" className="chip" onClick={follow}>
          {look === "again" && "Earlier · "}go to now
        </button>
      )}
    </figcaption>
  );
}

/** What the model was told for the frame on the screen. */
function promptOn({ state: { shots, stage }, onScreen }: OpenStory): string {
  const shot = shots.find(({ number }) => number === onScreen?.shot);
  if (!shot || !stage || !onScreen) return "";
  return promptAt(shot, onScreen.frame, stage.fps * stage.chunkSeconds);
}

/** A shot that is no longer in this page's memory, as a film over the picture. */
function Clip({ open, clip }: { open: OpenStory; clip: NonNullable<OpenStory["clip"]> }) {
  const { story, state, clipVideo, clipEnded, shown, wrong, follow } = open;
  const { number, take, frames } = clip;
  const saw = (video: HTMLVideoElement) => {
    const frame = Math.min(frames - 1, Math.floor(video.currentTime * (state.stage?.fps ?? 1) + 0.01));
    shown({ shot: number, take, frame }, video.paused && !video.ended ? "still" : "again");
  };
  const failed = () => {
    wrong(`Shot ${number + 1} cannot be played: the server does not send its film.`);
    follow();
  };
  return (
    <video
      ref={clipVideo}
      className="over"
      src={clipAddress(story, number, take)}
      aria-label={`Shot ${number + 1}, again`}
      autoPlay
      muted
      playsInline
      onTimeUpdate={(event) => saw(event.currentTarget)}
      onPause={(event) => saw(event.currentTarget)}
      onEnded={clipEnded}
      onError={failed}
    />
  );
}

function Empty({ open: { state } }: { open: OpenStory }) {
  if (!state.stage) return null;
  const hint = "Nothing shot yet. Write the first shot below and press Enter.";
  const made = state.shots.some((shot) => shot.frames > 0);
  const text = screenKind() ? made && "The first frame is on its way …" : pictureNote();
  return (
    <p className="picture-empty">
      {text || (state.shots.length > 0 ? "The first shot is being made …" : hint)}
    </p>
  );
}
