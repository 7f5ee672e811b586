/** The picture: what is made now, or what was asked for. */

import { useEffect, useRef } from "react";
import { numberOf } from "../story/numbers";
import { filmAddress, stillAddress } from "../story/server";
import { type StoryState, promptAt, promptOf } from "../story/state";
import { frameAt, positionAt } from "../story/timeline";
import type { Film } from "../story/usePicture";
import type { OpenStory } from "../story/useStory";
import { pictureNote, screenKind } from "../video/screen";

export function Picture({ open }: { open: OpenStory }) {
  const { state, onScreen, end, film, setElement } = open;
  const [width, height] = sizeOf(state);
  const saying = onScreen
    ? `Shot ${numberOf(state.shots, onScreen.shot)}: ${promptOn(open)}`
    : "No picture yet";
  return (
    <figure className="picture">
      <div className="screen-room">
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
          {film && <FilmScreen open={open} film={film} />}
          {!onScreen && <Empty open={open} />}
          <UnderWay state={state} />
        </div>
      </div>
      <Caption open={open} />
    </figure>
  );
}

/** That the picture will turn, and to what. */
function UnderWay({ state: { underWay } }: { state: StoryState }) {
  const newest = underWay.at(-1);
  const prompt = promptOf(newest);
  return (
    <p className="under-way" role="status" hidden={!newest}>
      {newest && (
        <>
          <span className="dot" aria-hidden="true" /> {prompt ? `Next: ${prompt}` : "The picture turns"}
        </>
      )}
    </p>
  );
}

/** Of the model's picture, in pixels; a guess before the server has said it. */
export const sizeOf = ({ stage }: StoryState): [number, number] => stage?.size ?? [832, 480];

function Caption({ open }: { open: OpenStory }) {
  const { state, onScreen } = open;
  if (!onScreen) return <figcaption />; // its room is kept, so that nothing moves when the first frame comes
  const shot = state.shots.find(({ number }) => number === onScreen.shot);
  return (
    <figcaption>
      <span className="slate">
        {numberOf(state.shots, onScreen.shot)}
        {shot && shot.takes > 1 && <small> take {onScreen.take + 1}</small>}
      </span>
      <span className="caption">{promptOn(open)}</span>
    </figcaption>
  );
}

/** What the model was told for the frame on the screen. */
function promptOn({ state: { shots, stage }, onScreen }: OpenStory): string {
  const shot = shots.find(({ number }) => number === onScreen?.shot);
  if (!shot || !stage || !onScreen) return "";
  return promptAt(shot, onScreen.frame, stage.fps * stage.chunkSeconds);
}

/** Frames that are no longer in this page's memory, as a film over the picture. */
function FilmScreen({ open, film }: { open: OpenStory; film: Film }) {
  const { story, state, filmVideo, filmEnded, shown, wrong, follow } = open;
  const { shots, at, plays, opened } = film;
  const fps = state.stage?.fps ?? 1;
  const saw = (seconds: number) => {
    const video = filmVideo.current;
    const position = positionAt(shots, Math.floor(seconds * fps + 0.01));
    if (video && position) shown(position, video.paused && !video.ended ? "still" : "again");
  };
  const newest = useRef(saw);
  newest.current = saw;
  const go = () => {
    const video = filmVideo.current;
    if (!video) return;
    video.currentTime = (frameAt(shots, at) + 0.5) / fps;
    if (plays)
      video.play().catch(() => undefined); // ended by the next pause
    else video.pause();
  };
  useEffect(() => {
    if (filmVideo.current && filmVideo.current.readyState > 0) go();
  }, [opened]);
  useEffect(() => {
    const video = filmVideo.current;
    if (!video || !("requestVideoFrameCallback" in video)) return;
    const tell: VideoFrameRequestCallback = (_, { mediaTime }) => {
      newest.current(mediaTime + 0.25 / fps);
      request = video.requestVideoFrameCallback(tell);
    };
    let request = video.requestVideoFrameCallback(tell);
    return () => video.cancelVideoFrameCallback(request);
  }, [fps]);
  const failed = () => {
    wrong("The film cannot be played: the server does not send it.");
    follow();
  };
  return (
    <video
      ref={filmVideo}
      className="over"
      src={filmAddress(story, shots)}
      aria-label="The film"
      muted
      playsInline
      preload="auto"
      onLoadedMetadata={go}
      onTimeUpdate={({ currentTarget }) => saw(currentTarget.currentTime)}
      onEnded={filmEnded}
      onError={failed}
    />
  );
}

function Empty({ open: { state } }: { open: OpenStory }) {
  if (!state.stage) return null;
  const hint = "Nothing shot yet. Write the first shot below and press Enter, or paste a whole script.";
  const made = state.shots.some((shot) => shot.frames > 0);
  const text = screenKind() ? made && "The first frame is on its way …" : pictureNote();
  return (
    <p className="picture-empty">
      {text || (state.shots.length > 0 ? "The first shot is being made …" : hint)}
    </p>
  );
}
