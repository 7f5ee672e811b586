/**
 * A screen for browsers without WebCodecs: a video element that is fed by Media Source Extensions.
 *
 * The socket's frames say what is to be seen; the pictures themselves come over HTTP, as one growing film for
 * each take.
 */

import { codecOf } from "./decoder";
import type { Packet, Position } from "./packet";
import type { Screen } from "./screen";
import { type Stretch, Stretches } from "./stretches";

const SECONDS_GIVEN_AHEAD = 1;
const SECONDS_KEPT_BEHIND = 30;

export class MseScreen implements Screen {
  private readonly source = new MediaSource();
  private readonly stretches: Stretches;
  private readonly address: string;
  private buffer?: SourceBuffer;
  private loading = new AbortController();
  private work: Promise<void>;
  private seen?: Position;
  /** Whether the next stretch is jumped to instead of waited for. */
  private jumps = true;
  private alone?: Position;

  /**
   * @param filmFrom the address of a take's film from a frame on.
   * @param failed told why there is no picture.
   */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly fps: number,
    private readonly filmFrom: (position: Position) => string,
    private readonly failed: (message: string) => void,
  ) {
    this.stretches = new Stretches(fps);
    this.address = URL.createObjectURL(this.source);
    this.work = new Promise((open) => this.source.addEventListener("sourceopen", () => open()));
    Object.assign(video, { muted: true, playsInline: true, src: this.address });
  }

  wantsMore(): boolean {
    return this.stretches.unseen(this.video.currentTime) < SECONDS_GIVEN_AHEAD * this.fps;
  }

  show(packet: Packet): void {
    const opened = this.stretches.take(packet);
    if (!opened) return;
    const { signal } = this.loading;
    const codec = codecOf(packet.payload);
    this.work = this.work.then(() =>
      signal.aborted || !codec ? undefined : this.load(opened, codec, signal),
    );
  }

  still(packets: Packet[]): void {
    const wanted = packets.at(-1);
    if (!wanted) return;
    this.video.pause();
    const seconds = this.stretches.timeOf(wanted);
    if (seconds !== undefined) return void (this.video.currentTime = seconds);
    this.clear();
    for (const packet of packets) this.show(packet);
    this.alone = wanted;
  }

  paint(): Position | undefined {
    const now = this.jumps ? undefined : this.stretches.positionAt(this.video.currentTime);
    const { seen } = this;
    if (!now || (seen?.shot === now.shot && seen.take === now.take && seen.frame === now.frame))
      return undefined;
    this.seen = now;
    return now;
  }

  /** The film comes as it is: a video element plays on. */
  awaitTurn(): void {}

  release(): void {}

  /** What is in the buffer already cannot be told apart: the picture jumps to what comes next. */
  drop(): void {
    this.clear();
  }

  clear(): void {
    this.loading.abort();
    this.loading = new AbortController();
    this.stretches.clear();
    this.jumps = true;
    this.alone = this.seen = undefined;
  }

  close(): void {
    this.clear();
    this.video.removeAttribute("src");
    URL.revokeObjectURL(this.address);
  }

  /** Puts a take's film into the buffer while it comes in. */
  private async load(stretch: Stretch, codec: string, signal: AbortSignal): Promise<void> {
    try {
      const buffer = this.bufferFor(codec);
      const answer = await fetch(this.filmFrom(stretch.from), { signal });
      if (!answer.ok || !answer.body) throw new Error(`the server answered ${answer.status}.`);
      const reader = answer.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const endSeconds = endOf(buffer);
        await this.append(buffer, part.value);
        if (signal.aborted) return;
        this.begin(stretch, endSeconds, endOf(buffer));
      }
      const seconds = endOf(buffer) - (stretch.startSeconds ?? endOf(buffer));
      const rest = this.stretches.end(stretch, Math.round(seconds * this.fps));
      if (rest) await this.load(rest, codec, signal);
    } catch (error) {
      if (!signal.aborted) this.failed((error as Error).message);
    }
  }

  private bufferFor(codec: string): SourceBuffer {
    const type = `video/mp4; codecs="${codec}"`;
    if (this.buffer) {
      this.buffer.abort(); // what follows is a film of its own, and is put behind the one before
      this.buffer.changeType(type);
    } else this.buffer = this.source.addSourceBuffer(type);
    this.buffer.mode = "sequence";
    return this.buffer;
  }

  private async append(buffer: SourceBuffer, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const oldest = this.video.currentTime - SECONDS_KEPT_BEHIND;
    if (buffer.buffered.length > 0 && buffer.buffered.start(0) < oldest - SECONDS_KEPT_BEHIND) {
      buffer.remove(0, oldest);
      await updated(buffer);
    }
    buffer.appendBuffer(bytes);
    await updated(buffer);
  }

  /** Notes where a stretch begins, as soon as its first frames are in the buffer. */
  private begin(stretch: Stretch, startSeconds: number, endSeconds: number): void {
    if (stretch.startSeconds !== undefined || endSeconds <= startSeconds) return;
    stretch.startSeconds = startSeconds;
    if (!this.jumps) return;
    this.jumps = false;
    this.video.currentTime = (this.alone && this.stretches.timeOf(this.alone)) ?? startSeconds;
    if (!this.alone) this.video.play().catch(() => undefined); // ended by the next pause
  }
}

const endOf = ({ buffered }: SourceBuffer) => (buffered.length > 0 ? buffered.end(buffered.length - 1) : 0);

const updated = (buffer: SourceBuffer) =>
  new Promise<void>((done) => buffer.addEventListener("updateend", () => done(), { once: true }));
