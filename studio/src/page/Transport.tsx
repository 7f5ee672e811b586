/** Watching what is made: play, scrub, step, loop, full screen. Nothing here touches what is being made. */

import { numberOf } from "../story/numbers";
import { isRunning } from "../story/state";
import { clock, frameAt, framesOf, madeShots, shownFrames, shownOf, withPoint } from "../story/timeline";
import type { OpenStory } from "../story/useStory";
import { Icon, type IconName } from "./Icon";
import { SoundTracks } from "./SoundTracks";

export function Transport({ open, onFull }: { open: OpenStory; onFull(): void }) {
  const { state, onScreen, isPlaying, mode, setMode, step, pause, goOn, follow, sound } = open;
  const shots = madeShots(state.shots);
  const fps = state.stage?.fps ?? 1;
  const none = shots.length === 0;
  const at = onScreen ? frameAt(shots, onScreen) : 0;
  const behind = isRunning(state) && onScreen && onScreen.look !== "live";
  const toggle = (name: string, icon: IconName, pressed: boolean, onClick: () => void) => (
    <button
      type="button"
      className="quiet round"
      aria-label={name}
      title={name}
      aria-pressed={pressed}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
  const act = (name: string, icon: IconName, onClick: () => void) => (
    <button
      type="button"
      className="quiet round"
      aria-label={name}
      title={name}
      disabled={none}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="transport" role="group" aria-label="Watch">
      {isPlaying
        ? act("Stand still (Space)", "pause", pause)
        : act(mode.alone ? "Play the shot (Space)" : "Play the story (Space)", "play", goOn)}
      <span className="steps">
        {act("One frame back (←)", "back", () => step(-1))}
        {act("One frame on (→)", "on", () => step(1))}
      </span>
      <div className="lanes">
        <Scrub open={open} />
        <SoundTracks open={open} />
      </div>
      <span className="steps">
        {act("In point: the shot begins here (I)", "in", () => trimAtPlayhead(open, "in"))}
        {act("Out point: the shot ends here (O)", "out", () => trimAtPlayhead(open, "out"))}
      </span>
      <span className="time">
        {clock(at / fps)} <span className="dim">/ {clock(framesOf(shots) / fps)}</span>
      </span>
      {behind && (
        <button type="button" className="chip now" title="Go to the live picture (G)" onClick={follow}>
          <span className="dot" aria-hidden="true" /> Now
        </button>
      )}
      {toggle("This shot alone", "alone", mode.alone, () => setMode({ ...mode, alone: !mode.alone }))}
      {toggle("Again and again (R)", "loop", mode.loops, () => setMode({ ...mode, loops: !mode.loops }))}
      {state.sounds.length > 0 &&
        toggle("Mute the sound (V)", sound.muted ? "muted" : "sound", sound.muted, () =>
          sound.setMuted(!sound.muted),
        )}
      {act("Full screen (F)", "full", onFull)}
    </div>
  );
}

/** The whole story as a bar; every shot is a stretch of it. */
function Scrub({ open: { state, onScreen, seek } }: { open: OpenStory }) {
  const shots = madeShots(state.shots);
  const all = framesOf(shots);
  const at = onScreen ? frameAt(shots, onScreen) : 0;
  const fps = state.stage?.fps ?? 1;
  const said = onScreen
    ? `Shot ${numberOf(state.shots, onScreen.shot)}, ${clock(at / fps)} of ${clock(all / fps)}`
    : "Nothing is made yet";
  return (
    <div className="scrub">
      <div className="scrub-shots" aria-hidden="true">
        {shots.map((shot) => (
          <span
            key={shot.number}
            style={{ flexGrow: shownFrames(shot) }}
            data-state={shot.state}
            data-on={onScreen?.shot === shot.number || undefined}
            data-in={shownOf(shot).first > 0 || undefined}
            data-out={shownOf(shot).last < shot.frames - 1 || undefined}
          >
            {numberOf(state.shots, shot.number)}
          </span>
        ))}
      </div>
      <input
        type="range"
        aria-label="Place in the story"
        aria-valuetext={said}
        min={0}
        max={Math.max(0, all - 1)}
        value={at}
        disabled={all === 0}
        onChange={({ target }) => seek(Number(target.value))}
      />
    </div>
  );
}

/** Lets the shot on the screen begin or end with the frame on the screen. */
export function trimAtPlayhead({ state, onScreen, order }: OpenStory, point: "in" | "out"): void {
  const shot = state.shots.find(({ number }) => number === onScreen?.shot);
  if (!shot || !onScreen || shot.frames === 0) return;
  order({ type: "trim", shot: shot.number, ...withPoint(shot, point, onScreen.frame) });
}

/** Fills the screen with the picture and its bar, or gives the screen back. */
export function turnFullScreen(stage: HTMLElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else stage?.requestFullscreen?.().catch(() => undefined); // not allowed here: the picture stays where it is
}
