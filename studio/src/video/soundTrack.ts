/** The sounds of a film, played in time with its picture. */

/** A sound as it is heard with the film. */
export interface Heard {
  sound: string;
  address: string;
  offset_seconds: number;
  gain_db: number;
}

/** How far a sound may be from the picture before it jumps to it; less than that is caught up by its rate. */
const MOST_SECONDS_APART = 0.2;
const CATCHES_UP = 0.04;
/** So long after a frame without another one the picture stands. */
const STANDS_AFTER_MS = 400;

interface Voice {
  element: HTMLAudioElement;
  gain?: GainNode;
  heard: Heard;
}

export class SoundTrack {
  private readonly voices = new Map<string, Voice>();
  private context?: AudioContext;
  private standing?: ReturnType<typeof setTimeout>;
  private muted = false;

  /** @param failed told which sound cannot be played. */
  constructor(private readonly failed: (sound: string) => void) {}

  /** Plays these sounds from now on, and no others. */
  hear(sounds: Heard[]): void {
    for (const [name, voice] of this.voices) {
      if (sounds.some(({ sound }) => sound === name)) continue;
      voice.element.pause();
      voice.element.removeAttribute("src");
      this.voices.delete(name);
    }
    for (const heard of sounds) {
      const voice = this.voices.get(heard.sound) ?? this.open(heard);
      voice.heard = heard;
      this.louden(voice);
    }
  }

  mute(muted: boolean): void {
    this.muted = muted;
    for (const { element } of this.voices.values()) element.muted = muted;
  }

  /** Says which moment of the film is on the screen, and whether more follows at once. */
  show(seconds: number, plays: boolean): void {
    clearTimeout(this.standing);
    if (!plays) return this.stand();
    this.standing = setTimeout(() => this.stand(), STANDS_AFTER_MS);
    for (const voice of this.voices.values()) this.follow(voice, seconds);
  }

  /** Lets nothing be heard until the next frame. */
  stand(): void {
    clearTimeout(this.standing);
    for (const { element } of this.voices.values()) element.pause();
  }

  close(): void {
    this.stand();
    this.hear([]);
    void this.context?.close();
  }

  private follow({ element, heard }: Voice, seconds: number): void {
    const wanted = seconds - heard.offset_seconds;
    const isOver = Number.isFinite(element.duration) && wanted >= element.duration;
    if (wanted < 0 || isOver) return element.pause();
    const ahead = element.currentTime - wanted;
    if (element.paused || Math.abs(ahead) > MOST_SECONDS_APART) element.currentTime = wanted;
    element.playbackRate = Math.abs(ahead) > MOST_SECONDS_APART / 4 ? 1 - Math.sign(ahead) * CATCHES_UP : 1;
    if (!element.paused) return;
    void this.context?.resume();
    element.play().catch(() => undefined); // ended by the next pause, or nobody has touched the page yet
  }

  private open(heard: Heard): Voice {
    const element = new Audio(heard.address);
    element.preload = "auto";
    element.muted = this.muted;
    element.addEventListener("error", () => {
      if (element.hasAttribute("src")) this.failed(heard.sound);
    });
    const voice: Voice = { element, heard };
    this.voices.set(heard.sound, voice);
    return voice;
  }

  /** Above its own loudness an element needs the audio graph. */
  private louden(voice: Voice): void {
    const factor = 10 ** (voice.heard.gain_db / 20);
    if (factor <= 1 && !voice.gain) return void (voice.element.volume = factor);
    if (!voice.gain) {
      this.context ??= new AudioContext();
      voice.gain = this.context.createGain();
      this.context.createMediaElementSource(voice.element).connect(voice.gain);
      voice.gain.connect(this.context.destination);
      voice.element.volume = 1;
    }
    voice.gain.gain.value = factor;
  }
}
