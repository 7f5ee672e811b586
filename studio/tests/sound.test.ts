import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Heard, SoundTrack } from "../src/video/soundTrack";

class FakeAudio {
  static made: FakeAudio[] = [];
  currentTime = 0;
  duration = 3;
  paused = true;
  muted = false;
  volume = 1;
  playbackRate = 1;
  preload = "";
  constructor(readonly src: string) {
    FakeAudio.made.push(this);
  }
  addEventListener(): void {}
  hasAttribute = () => true;
  removeAttribute(): void {}
  pause(): void {
    this.paused = true;
  }
  play(): Promise<void> {
    this.paused = false;
    return Promise.resolve();
  }
}

const rain = (more: Partial<Heard> = {}): Heard => ({
  sound: "rain",
  address: "rain.wav",
  offset_seconds: 1,
  gain_db: 0,
  ...more,
});
const heard = (...sounds: Heard[]) => {
  const track = new SoundTrack(() => undefined);
  track.hear(sounds);
  return { track, audio: FakeAudio.made[0]! };
};

beforeEach(() => {
  FakeAudio.made = [];
  vi.useFakeTimers();
  vi.stubGlobal("Audio", FakeAudio);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("a sound is heard from its offset to its end, where the picture is", () => {
  const { track, audio } = heard(rain());
  track.show(0.5, true);
  expect(audio.paused).toBe(true);
  track.show(1.5, true);
  expect([audio.paused, audio.currentTime]).toEqual([false, 0.5]);
  track.show(4.5, true);
  expect(audio.paused).toBe(true);
});

it("it jumps when the picture has gone elsewhere, and catches up what is little", () => {
  const { track, audio } = heard(rain({ offset_seconds: 0 }));
  track.show(1, true);
  track.show(2, true);
  expect(audio.currentTime).toBe(2);
  audio.currentTime = 2.1;
  track.show(2, true);
  expect([audio.currentTime, audio.playbackRate < 1]).toEqual([2.1, true]);
  audio.currentTime = 1.9;
  track.show(2, true);
  expect(audio.playbackRate).toBeGreaterThan(1);
  audio.currentTime = 2;
  track.show(2, true);
  expect(audio.playbackRate).toBe(1);
});

it("it stands with the picture: at once where that stands, soon where no frame comes", () => {
  const { track, audio } = heard(rain({ offset_seconds: 0 }));
  track.show(1, true);
  track.show(1.1, false);
  expect(audio.paused).toBe(true);
  track.show(1.2, true);
  vi.advanceTimersByTime(300);
  expect(audio.paused).toBe(false);
  vi.advanceTimersByTime(200);
  expect(audio.paused).toBe(true);
});

it("what is quieter is quieter, what is off the film is silent, and mute is for all", () => {
  const { track, audio } = heard(rain({ offset_seconds: 0, gain_db: -20 }));
  expect(audio.volume).toBeCloseTo(0.1);
  track.mute(true);
  track.hear([rain(), rain({ sound: "wind" })]);
  expect(FakeAudio.made.map(({ muted }) => muted)).toEqual([true, true]);
  track.show(1, true);
  track.hear([]);
  expect(audio.paused).toBe(true);
  track.show(1, true);
  expect(audio.paused).toBe(true);
});
