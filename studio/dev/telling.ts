/** A story as the fake server tells it: the protocol's rules in short, with drawn frames for a model. */

import type {
  ChunkOfShot,
  Command,
  Limits,
  MemoryFrame,
  ReceiptEvent,
  ServerEvent,
  ShotEntry,
  TellingState,
} from "../src/protocol.ts";
import type { Position } from "../src/video/packet.ts";
import { HEIGHT, WIDTH } from "./drawing.ts";
import { CHUNK_FRAMES, FPS, filmPacket } from "./film.ts";

const CHUNK_SECONDS = CHUNK_FRAMES / FPS;
const LEARNT_SECONDS = 3;
const LOOKAHEAD_SECONDS = 2;
const REMEMBERED = 6;

const LIMITS: Limits = {
  prompt_characters: 2000,
  setting_characters: 2000,
  shot_seconds: 60,
  shots: 200,
  open_stories: 8,
  queued_commands: 32,
  upload_bytes: 10 * 2 ** 20,
};

/** Someone who watches. */
export interface Viewer {
  event(event: ServerEvent): void;
  packet(bytes: ArrayBuffer): void;
}

type Queued = Extract<Command, { type: "shoot" | "retake" }>;
type Directing = Extract<Command, { type: "cut" | "stop" | "hold" | "extend" | "redirect" }>;
/** What a receipt says more, or why there is none. */
type Outcome = Partial<ReceiptEvent> | string;

export class Telling {
  readonly viewers = new Set<Viewer>();
  readonly shots: ShotEntry[] = [];
  private readonly answers = new Map<string, ServerEvent>();
  private readonly pins: MemoryFrame[] = [];
  private readonly waitingFor: { id: string; atMs: number; position: Position }[] = [];
  private queue: Queued[] = [];
  private deleted: ShotEntry[] = [];
  private state: TellingState = "idle";
  private before: TellingState = "idle";
  private reason?: string;
  private shownSeconds = 0;
  private madeSeconds = 0;

  constructor(
    readonly id: string,
    readonly setting: string,
    private readonly branchOff: (telling: Telling, shot: number) => string,
    readonly parent?: { story: string; shot: number },
  ) {}

  /** Welcomes a viewer and sends the frames that it has not. */
  join(viewer: Viewer, after?: ChunkOfShot): void {
    this.viewers.add(viewer);
    viewer.event(this.welcome());
    this.tellMemory();
    for (const shot of this.shots) {
      if (after && shot.number <= after.shot && shot.take === after.take && shot.chunks <= after.chunk + 1)
        continue;
      for (let frame = 0; frame < shot.frames; frame++) viewer.packet(filmPacket(this.setting, shot, frame));
    }
  }

  /** Takes a command and answers it, once. */
  take(viewer: Viewer, command: Command): void {
    if (command.type === "playhead") return this.playhead(command);
    const answer = this.answers.get(command.id) ?? this.answer(command);
    this.answers.set(command.id, answer);
    viewer.event(answer);
    this.tell({ type: "state", state: this.state, ...(this.reason && { reason: this.reason }) });
  }

  /** Makes a chunk, if it is time for one. */
  tick(): void {
    const shot = this.live;
    const makes = shot && ["shooting", "holding", "cutting"].includes(this.state);
    const lookahead = this.madeSeconds - this.shownSeconds;
    if (makes && lookahead < LOOKAHEAD_SECONDS) this.makeChunk(shot);
    this.tellFigures(Math.max(0, lookahead));
  }

  private get live(): ShotEntry | undefined {
    return this.shots.find((shot) => shot.state === "live");
  }

  private welcome(): ServerEvent {
    const { id, setting, parent, reason, state, shots } = this;
    const memory = this.remembered();
    const snapshot = {
      setting,
      seed: 1,
      state,
      shots,
      memory,
      ...(parent && { parent }),
      ...(reason && { reason }),
    };
    return {
      type: "welcome",
      protocol: 1,
      story: id,
      model: "drawn by the fake server",
      size: [WIDTH, HEIGHT],
      fps: FPS,
      chunk_seconds: CHUNK_SECONDS,
      limits: LIMITS,
      snapshot,
    };
  }

  private answer(command: Command): ServerEvent {
    const { id } = command;
    const outcome = this.outcome(command);
    if (typeof outcome === "string") return { type: "refused", id, code: "not_now", message: outcome };
    return { type: "receipt", id, applies_from: null, ...outcome };
  }

  private outcome(command: Command): Outcome {
    if ("prompt" in command && /\bdisk\b/.test(command.prompt ?? "")) {
      this.fail("The disk is full: free some space, then try again. Every finished chunk is kept.");
      return {};
    }
    switch (command.type) {
      case "cut":
      case "stop":
      case "hold":
      case "extend":
      case "redirect":
        return this.live ? this.direct(this.live, command) : "No shot runs. Write one and press Enter.";
      default:
        return this.arrange(command);
    }
  }

  /** What is done to the running shot. */
  private direct(shot: ShotEntry, command: Directing): Outcome {
    const from = { shot: shot.number, frame: shot.frames };
    switch (command.type) {
      case "cut":
        shot.length_seconds = (shot.chunks + 1) * CHUNK_SECONDS;
        this.state = "cutting";
        break;
      case "stop":
        shot.length_seconds = shot.chunks * CHUNK_SECONDS;
        this.finish(shot);
        break;
      case "hold":
        this.state = "holding";
        break;
      case "extend":
        shot.length_seconds += command.seconds ?? (command.chunks ?? 1) * CHUNK_SECONDS;
        break;
      case "redirect":
        shot.prompts.push([shot.chunks, command.prompt]);
        this.watchFor(command.id, { ...from, take: shot.take });
    }
    this.tell({ type: "shot", shot });
    return { applies_from: from };
  }

  /** What is done to the story. */
  private arrange(command: Command): Outcome {
    switch (command.type) {
      case "shoot":
      case "retake":
        return { applies_from: this.enqueue(command) };
      case "pause":
        this.before = this.state;
        this.state = "paused";
        return {};
      case "resume":
        this.reason = undefined;
        this.state = this.live ? (this.before === "holding" ? "holding" : "shooting") : "idle";
        return {};
      case "edit":
        return this.edit(command.shot, command.prompt);
      case "reshoot":
        return this.reshoot(command.from_shot);
      case "delete":
        return this.delete(command.shot);
      case "undo":
        return this.undo();
      case "branch":
        return { story: this.branchOff(this, command.shot) };
      case "pin":
      case "unpin":
        return this.pin(command);
      case "reference":
        return this.refer();
      default:
        return "The fake server does not know this.";
    }
  }

  private enqueue(command: Queued): { shot: number; frame: number } {
    this.queue.push(command);
    const running = this.live;
    if (running) {
      running.length_seconds = (running.chunks + 1) * CHUNK_SECONDS;
      this.state = "cutting";
    } else this.open();
    return {
      shot: command.type === "retake" ? command.shot : this.shots.length - (running ? 0 : 1),
      frame: 0,
    };
  }

  private open(): void {
    const command = this.queue.shift();
    if (!command) return void (this.state = "idle");
    this.state = "shooting";
    this.madeSeconds = this.shownSeconds = 0;
    const shot = command.type === "shoot" ? this.newShot(command) : this.newTake(command);
    this.tell({ type: "shot", shot });
    this.watchFor(command.id, { shot: shot.number, take: shot.take, frame: 0 });
    this.tellMemory();
  }

  private newShot({ prompt, seconds }: Extract<Queued, { type: "shoot" }>): ShotEntry {
    const number = this.shots.length;
    const counts = { take: 0, takes: 1, chunks: 0, frames: 0 };
    const shot: ShotEntry = {
      number,
      prompt,
      prompts: [[0, prompt]],
      length_seconds: seconds ?? LEARNT_SECONDS,
      seed: 40 + number,
      state: "live",
      ...counts,
    };
    this.shots.push(shot);
    return shot;
  }

  private newTake(command: Extract<Queued, { type: "retake" }>): ShotEntry {
    const shot = this.shots[command.shot]!;
    const prompt = command.prompt ?? shot.prompt;
    const counts = { take: shot.takes, takes: shot.takes + 1, chunks: 0, frames: 0 };
    return Object.assign(shot, {
      prompt,
      prompts: [[0, prompt]],
      seed: shot.seed + 100,
      state: "live",
      ...counts,
    });
  }

  private makeChunk(shot: ShotEntry): void {
    const from = shot.frames;
    shot.chunks += 1;
    shot.frames += CHUNK_FRAMES;
    shot.thumbnail = this.picture(shot.number, 0);
    this.madeSeconds += CHUNK_SECONDS;
    if (this.state === "holding")
      shot.length_seconds = Math.max(shot.length_seconds, (shot.chunks + 1) * CHUNK_SECONDS);
    const isLast = shot.chunks * CHUNK_SECONDS >= shot.length_seconds;
    this.tell({ type: "shot", shot });
    for (let frame = from; frame < shot.frames; frame++) {
      const bytes = filmPacket(this.setting, shot, frame, isLast && frame === shot.frames - 1);
      for (const viewer of this.viewers) viewer.packet(bytes);
    }
    this.tellMemory();
    if (isLast) this.finish(shot);
  }

  private finish(shot: ShotEntry): void {
    shot.state = "done";
    this.tell({ type: "shot", shot });
    this.open();
    this.tell({ type: "state", state: this.state });
  }

  private edit(number: number, prompt: string): Outcome {
    for (const shot of this.shots.slice(number)) {
      if (shot.number === number) Object.assign(shot, { prompt, prompts: [[0, prompt]] });
      if (shot.state === "done") shot.state = "stale";
      this.tell({ type: "shot", shot });
    }
    return {};
  }

  private reshoot(from: number): Outcome {
    const stale = this.shots.filter((shot) => shot.state === "stale" && shot.number >= from);
    for (const { number } of stale) this.enqueue({ type: "retake", id: `${from}`, shot: number });
    return { applies_from: { shot: from, frame: 0 } };
  }

  private delete(number: number): Outcome {
    if (number !== this.shots.length - 1) return "Only the newest shot can be deleted.";
    this.deleted.push(this.shots.pop()!);
    this.tell({ type: "removed", shot: number });
    return { note: `Shot ${number + 1} is deleted; undo brings it back` };
  }

  private undo(): Outcome {
    const shot = this.deleted.pop();
    if (!shot) return "There is nothing to undo.";
    this.shots.push(shot);
    this.tell({ type: "shot", shot });
    return {};
  }

  private pin({ type, shot, frame }: Extract<Command, { type: "pin" | "unpin" }>): Outcome {
    const index = this.pins.findIndex((pinned) => pinned.shot === shot && pinned.frame === frame);
    if (index >= 0) this.pins.splice(index, 1);
    if (type === "pin") this.pins.push({ shot, frame, source: "pin", thumbnail: this.picture(shot, frame) });
    this.tellMemory();
    return { applies_from: { shot: this.shots.length, frame: 0 } };
  }

  private refer(): Outcome {
    const thumbnail = this.picture(0, 0);
    this.pins.push({ shot: 0, frame: this.pins.length, source: "reference", thumbnail });
    this.tellMemory();
    return {};
  }

  private fail(reason: string): void {
    this.before = this.state;
    this.state = "failed";
    this.reason = reason;
  }

  private playhead({ shot, take, frame }: Position): void {
    if (this.live?.number === shot) this.shownSeconds = (frame + 1) / FPS;
    const reached = this.waitingFor.findIndex(
      ({ position }) => position.shot === shot && position.take === take && position.frame <= frame,
    );
    if (reached < 0) return;
    const [{ id, atMs }] = this.waitingFor.splice(reached, 1) as [(typeof this.waitingFor)[0]];
    this.tell({ type: "shown", id, prompt_to_glass_seconds: (performance.now() - atMs) / 1000 });
  }

  private watchFor(id: string, position: Position): void {
    this.waitingFor.push({ id, atMs: performance.now(), position });
  }

  private remembered(): MemoryFrame[] {
    const made = this.shots.filter((shot) => shot.frames > 0 && shot.state !== "live");
    const chosen = made.slice(-REMEMBERED + this.pins.length).map(({ number, frames }): MemoryFrame => {
      const frame = Math.floor(frames / 2);
      return { shot: number, frame, source: "rule", thumbnail: this.picture(number, frame) };
    });
    return [...this.pins, ...chosen].slice(0, REMEMBERED);
  }

  private tellMemory(): void {
    const frames = this.remembered();
    const local_used = Math.min(21, (this.live?.chunks ?? 0) * 3);
    this.tell({
      type: "memory",
      frames,
      global_used: frames.length,
      global_size: REMEMBERED,
      local_used,
      local_size: 21,
    });
  }

  private tellFigures(lookahead_seconds: number): void {
    const waiting = this.live !== undefined && lookahead_seconds >= LOOKAHEAD_SECONDS;
    const frames_per_second = this.live ? 23.7 : 0;
    this.tell({
      type: "figures",
      frames_per_second,
      first_frame_seconds: 0.21,
      lookahead_seconds,
      waiting,
      queue: this.queue.length,
    });
  }

  private picture(shot: number, frame: number): string {
    return `/api/stories/${this.id}/frames/${shot}/${frame}?take=${this.shots[shot]?.take ?? 0}`;
  }

  private tell(event: ServerEvent): void {
    for (const viewer of this.viewers) viewer.event(event);
  }
}
