/** The sound files of a story: which there are, what they look like, and playing them in time. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { PlacedSound, ShotCard } from "../protocol";
import type { Position } from "../video/packet";
import type { Look } from "../video/player";
import { type Heard, SoundTrack } from "../video/soundTrack";
import { type SoundFile, listSounds, readWaveform, soundAddress } from "./server";
import { frameAt, framesOf, madeShots } from "./timeline";

export function useSound(
  story: string,
  placed: PlacedSound[],
  fps: number | undefined,
  wrong: (sentence: string) => void,
) {
  const [files, setFiles] = useState<SoundFile[]>([]);
  const [muted, setMuted] = useState(false);
  const track = useRef<SoundTrack>(undefined);
  const read = useCallback(
    () => listSounds(story).then(setFiles, (error: Error) => wrong(error.message)),
    [story, wrong],
  );
  const key = JSON.stringify(placed);
  useEffect(() => {
    if (placed.length > 0) void read();
  }, [key, read]);
  useEffect(() => {
    const opened = new SoundTrack(() => wrong("A sound cannot be played in this browser. The film has it."));
    track.current = opened;
    return () => opened.close();
  }, [story, wrong]);
  useEffect(() => {
    const heard = placed.map<Heard>((one) => ({ ...one, address: soundAddress(story, one.sound) }));
    track.current?.hear(heard);
  }, [key, story, wrong]);
  useEffect(() => track.current?.mute(muted), [muted, key]);
  /** Told of every frame that becomes visible. */
  const shown = useCallback(
    (shots: ShotCard[], position: Position, look: Look) => {
      const made = madeShots(shots);
      const at = frameAt(made, position);
      const isLast = look !== "live" && at >= framesOf(made) - 1;
      track.current?.show(at / (fps ?? 1), look !== "still" && !isLast);
    },
    [fps],
  );
  return { files, read, muted, setMuted, shown };
}

/** What a sound looks like; nothing until it is read. */
export function useWaveform(story: string, sound: string): number[] | undefined {
  const [peaks, setPeaks] = useState<number[]>();
  useEffect(() => {
    readWaveform(story, sound).then(setPeaks, () => setPeaks([]));
  }, [story, sound]);
  return peaks;
}
