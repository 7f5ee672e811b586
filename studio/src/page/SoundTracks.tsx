/** The sounds of the film, as waveforms under the bar of its shots. */

import {
  type CSSProperties,
  type KeyboardEvent,
  type PointerEvent,
  useEffect,
  useRef,
  useState,
} from "react";
import type { PlacedSound } from "../protocol";
import { SOUND_FILES, sendSound } from "../story/server";
import { frameAt, framesOf, madeShots } from "../story/timeline";
import type { OpenStory } from "../story/useStory";
import { useWaveform } from "../story/useSound";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

/** The keys of a lane; the help lists them. */
export const SOUND_KEYS = [
  { key: "← →", says: "Move a sound by a tenth of a second (on its lane)" },
] as const;

const PEAKS_PER_SECOND = 20;
const STEP_SECONDS = 0.1;
const GAINS = [12, 6, 3, 0, -3, -6, -12, -18, -24];

export function SoundTracks({ open }: { open: OpenStory }) {
  const { state, onScreen } = open;
  const shots = madeShots(state.shots);
  const all = framesOf(shots);
  const seconds = all / (state.stage?.fps ?? 1);
  if (state.sounds.length === 0) return null;
  const share = onScreen && all > 1 ? frameAt(shots, onScreen) / (all - 1) : 0;
  return (
    <ul className="sounds" aria-label="Sounds of the film" style={{ "--at": share } as CSSProperties}>
      {state.sounds.map((placed) => (
        <SoundRow key={placed.sound} placed={placed} seconds={seconds} open={open} />
      ))}
    </ul>
  );
}

interface RowProps {
  placed: PlacedSound;
  seconds: number;
  open: OpenStory;
}

function SoundRow({ placed, seconds, open }: RowProps) {
  const { story, order, sound: track } = open;
  const file = track.files.find(({ sound }) => sound === placed.sound);
  const peaks = useWaveform(story, placed.sound);
  const lane = useRef<HTMLDivElement>(null);
  const [dragged, setDragged] = useState<number>();
  const from = useRef<{ x: number; offset: number }>(undefined);
  const offset = dragged ?? placed.offset_seconds;
  const place = (offset_seconds: number, gain_db = placed.gain_db) =>
    order({ type: "sound", sound: placed.sound, offset_seconds: round(offset_seconds), gain_db });
  const moved = (event: PointerEvent) => {
    if (!from.current || !lane.current) return;
    const perPixel = seconds / Math.max(1, lane.current.clientWidth);
    setDragged(round(from.current.offset + (event.clientX - from.current.x) * perPixel));
  };
  const dropped = () => {
    if (from.current && dragged !== undefined && dragged !== placed.offset_seconds) place(dragged);
    from.current = undefined;
    setDragged(undefined);
  };
  const pressed = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -STEP_SECONDS, ArrowRight: STEP_SECONDS }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // it moves the sound, not the picture
    place(placed.offset_seconds + by);
  };
  const name = file?.name ?? "Sound";
  return (
    <li className="sound">
      <div
        className="sound-lane"
        ref={lane}
        role="slider"
        tabIndex={0}
        aria-label={`Start of ${name} in the film`}
        aria-valuemin={-3600}
        aria-valuemax={36000}
        aria-valuenow={offset}
        aria-valuetext={`${offset.toFixed(1)} seconds`}
        title={`${name} · starts at ${offset.toFixed(1)} s · ${gainText(placed.gain_db)}. Drag it, or press ← →`}
        onKeyDown={pressed}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          from.current = { x: event.clientX, offset: placed.offset_seconds };
        }}
        onPointerMove={moved}
        onPointerUp={dropped}
        onPointerCancel={() => ((from.current = undefined), setDragged(undefined))}
      >
        <Waveform peaks={peaks ?? []} offset={offset} seconds={seconds} gain={placed.gain_db} />
        <span className="sound-name">{name}</span>
      </div>
      <Menu icon="more" label={`More for ${name}`}>
        {(_, choice) => (
          <>
            <label className="sound-gain">
              Loudness
              <select
                value={nearestGain(placed.gain_db)}
                onChange={({ target }) => place(placed.offset_seconds, Number(target.value))}
              >
                {GAINS.map((gain) => (
                  <option key={gain} value={gain}>
                    {gainText(gain)}
                  </option>
                ))}
              </select>
            </label>
            {choice("back", "From the beginning", () => place(0))}
            {choice("trash", "Take it off the film", () => order({ type: "silence", sound: placed.sound }))}
          </>
        )}
      </Menu>
    </li>
  );
}

const round = (seconds: number) => Math.round(seconds * 100) / 100;
const gainText = (gain: number) => `${gain > 0 ? "+" : ""}${gain} dB`;
const nearestGain = (gain: number) =>
  GAINS.reduce((best, one) => (Math.abs(one - gain) < Math.abs(best - gain) ? one : best));

/** A waveform over the length of the film. */
function Waveform(props: { peaks: number[]; offset: number; seconds: number; gain: number }) {
  const { peaks, offset, seconds, gain } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const draw = () => drawPeaks(element, peaks, offset, seconds, gain);
    draw();
    if (!("ResizeObserver" in globalThis)) return;
    const observer = new ResizeObserver(draw);
    observer.observe(element);
    return () => observer.disconnect();
  }, [peaks, offset, seconds, gain]);
  return <canvas ref={canvas} aria-hidden="true" />;
}

function drawPeaks(
  canvas: HTMLCanvasElement,
  peaks: number[],
  offset: number,
  seconds: number,
  gain: number,
): void {
  const scale = devicePixelRatio;
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (!context || seconds <= 0) return;
  context.fillStyle = getComputedStyle(canvas).color;
  const factor = 10 ** (gain / 20) / 255;
  const perPixel = (seconds * PEAKS_PER_SECOND) / width;
  const shift = offset * PEAKS_PER_SECOND;
  for (let x = 0; x < width; x++) {
    const first = Math.floor(x * perPixel - shift);
    const last = Math.max(first + 1, Math.floor((x + 1) * perPixel - shift));
    if (last <= 0 || first >= peaks.length) continue;
    const loudest = Math.max(...peaks.slice(Math.max(0, first), last));
    const tall = Math.max(scale, Math.min(1, loudest * factor) * height);
    context.fillRect(x, (height - tall) / 2, 1, tall);
  }
}

/** Chooses a sound file, sends it and lets it be heard. */
export function AddSound({ open }: { open: OpenStory }) {
  const { story, state, order, sound, wrong } = open;
  const [busy, setBusy] = useState(false);
  const send = async (file: File) => {
    setBusy(true);
    try {
      const sent = await sendSound(story, file, state.stage?.limits.sound_bytes ?? Infinity);
      await sound.read();
      order({ type: "sound", sound: sent.sound });
    } catch (error) {
      wrong((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <label
      className="button quiet"
      aria-disabled={busy || undefined}
      title="Add a sound: WAV, MP3, FLAC, OGG or M4A"
    >
      <Icon name="sound" /> {busy ? "Sending …" : <span className="unseen">Sound</span>}
      <input
        className="unseen"
        type="file"
        accept={SOUND_FILES}
        disabled={busy}
        onChange={({ target }) => {
          if (target.files?.[0]) void send(target.files[0]);
          target.value = "";
        }}
      />
    </label>
  );
}
