/** A story as the fake server tells it: the protocol's rules in short, with drawn frames for a model. */

import type {
  ChunkPlace,
  ClientMessage,
  Command,
  Limits,
  Pin,
  Receipt,
  Retake,
  Event as ServerEvent,
  Shoot,
  ShotCard,
  State,
  Unpin,
} from "../src/protocol.ts";
import type { Position } from "../src/video/packet.ts";
import { HEIGHT, WIDTH } from "./drawing.ts";
import { CHUNK_FRAMES, FPS, filmPacket } from "./film.ts";
import { FakeMemory } from "./memory.ts";

export const CHUNK_SECONDS = CHUNK_FRAMES / FPS;
export const MODEL = "drawn by the fake server";
const LEARNT_SECONDS = 3;
const LOOKAHEAD_SECONDS = 2;

export const LIMITS: Limits = {
  prompt_characters: 2000,
  setting_characters: 2000,
  shot_seconds: 60,
  shots: 200,
  open_stories: 8,
  queued_commands: 32,
  upload_bytes: 10 * 2 ** 20,
  viewers: 64,
  lookahead_seconds: LOOKAHEAD_SECONDS,
};

/** Someone who watches. */
export interface Viewer {
  event(event: ServerEvent): void;
  packet(bytes: ArrayBuffer): void;
}

type Queued = Shoot | Retake;
type Directing = Extract<Command, { type: "cut" | "stop" | "hold" | "extend" | "redirect" }>;
/** What a receipt says more, or why there is none. */
type Outcome = Partial<Receipt> | string;

export class Telling {
  readonly viewers = new Set<Viewer>();
  readonly shots: ShotCard[] = [];
  readonly begunSeconds = Date.now() / 1000;
  title = "";
  private readonly answers = new Map<string, ServerEvent>();
  private readonly memory = new FakeMemory();
  private readonly waitingFor: { id: string; atMs: number; position: Position }[] = [];
  private queue: Queued[] = [];
  private deleted: ShotCard[] = [];
  private state: State = "idle";
  private before: State = "idle";
  private reason?: string;
  private shownSeconds = 0;
  private madeSeconds = 0;

  constructor(
    readonly id: string,
    readonly setting: string,
    private readonly branchOff: (telling: Telling, shot: number) => string,
    readonly parent?: { story: string; shot: number },
  ) {}

  /** Welcomes a viewer and sends the chunks behind `after`, or else the newest shot. */
  join(viewer: Viewer, after?: ChunkPlace): void {
    this.viewers.add(viewer);
    viewer.event(this.welcome());
    this.tellMemory();
    const made = this.shots.filter((shot) => shot.frames > 0);
    for (const shot of after ? made.filter(({ number }) => number >= after.shot) : made.slice(-1)) {
      const from =
        shot.number === after?.shot && shot.take === after.take ? (after.chunk + 1) * CHUNK_FRAMES : 0;
      for (let frame = from; frame < shot.frames; frame++)
        viewer.packet(filmPacket(this.setting, shot, frame));
    }
  }

  /** Takes a command and answers it, once. */
  take(viewer: Viewer | undefined, command: ClientMessage): void {
    if (command.type === "hello") return;
    if (command.type === "playhead") return this.playhead(command);
    const answer = this.answers.get(command.id) ?? this.answer(command);
    this.answers.set(command.id, answer);
    viewer?.event(answer);
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

  private get live(): ShotCard | undefined {
    return this.shots.find((shot) => shot.state === "live");
  }

  private welcome(): ServerEvent {
    const { id, setting, parent, reason, state, shots } = this;
    const memory = this.memory.now(shots);
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
      model: MODEL,
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
  private direct(shot: ShotCard, command: Directing): Outcome {
    const from = { shot: shot.number, frame: shot.frames };
    switch (command.type) {
      case "cut":
        shot.length_seconds = (shot.chunks + 1) * CHUNK_SECONDS;
        this.state = "cutting";
        break;
      case "stop":
        this.queue = [];
        while (this.shots.at(-1)?.state === "queued")
          this.tell({ type: "deleted", shot: this.shots.pop()!.number });
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
    this.tellShot(shot);
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
        return this.refer(command.upload);
      default:
        return "The fake server does not know this.";
    }
  }

  private enqueue(command: Queued): { shot: number; frame: number } {
    const running = this.live;
    const card = command.type === "shoot" ? this.newShot(command) : this.shots[command.shot]!;
    this.queue.push(command);
    if (!running) this.open();
    else if (command.type === "retake" || !command.after) {
      running.length_seconds = (running.chunks + 1) * CHUNK_SECONDS;
      this.state = "cutting";
    }
    return { shot: card.number, frame: 0 };
  }

  private open(): void {
    const command = this.queue.shift();
    if (!command) return void (this.state = "idle");
    this.state = "shooting";
    this.madeSeconds = this.shownSeconds = 0;
    const shot = command.type === "shoot" ? this.firstWaiting() : this.newTake(command);
    shot.state = "live";
    this.tellShot(shot);
    this.watchFor(command.id, { shot: shot.number, take: shot.take, frame: 0 });
    this.tellMemory();
  }

  private firstWaiting(): ShotCard {
    return this.shots.find((shot) => shot.state === "queued")!;
  }

  private newShot({ prompt, seconds, seed }: Shoot): ShotCard {
    const number = this.shots.length;
    const shot: ShotCard = {
      number,
      prompt,
      prompts: [[0, prompt]],
      length_seconds: seconds ?? LEARNT_SECONDS,
      seed: seed ?? 40 + number,
      state: "queued",
      take: 0,
      takes: 1,
      chunks: 0,
      frames: 0,
    };
    this.shots.push(shot);
    this.tellShot(shot);
    return shot;
  }

  private newTake(command: Extract<Queued, { type: "retake" }>): ShotCard {
    const shot = this.shots[command.shot]!;
    const prompt = command.prompt ?? shot.prompt;
    const counts = { take: shot.takes, takes: shot.takes + 1, chunks: 0, frames: 0 };
    return Object.assign(shot, {
      prompt,
      prompts: [[0, prompt]],
      seed: command.seed ?? shot.seed + 100,
      ...counts,
    });
  }

  private makeChunk(shot: ShotCard): void {
    const from = shot.frames;
    shot.chunks += 1;
    shot.frames += CHUNK_FRAMES;
    this.madeSeconds += CHUNK_SECONDS;
    if (this.state === "holding")
      shot.length_seconds = Math.max(shot.length_seconds, (shot.chunks + 1) * CHUNK_SECONDS);
    const isLast = shot.chunks * CHUNK_SECONDS >= shot.length_seconds;
    this.tellShot(shot);
    for (let frame = from; frame < shot.frames; frame++) {
      const bytes = filmPacket(this.setting, shot, frame, isLast && frame === shot.frames - 1);
      for (const viewer of this.viewers) viewer.packet(bytes);
    }
    this.tellMemory();
    if (isLast) this.finish(shot);
  }

  private finish(shot: ShotCard): void {
    shot.state = "done";
    this.tellShot(shot);
    this.open();
    this.tell({ type: "state", state: this.state });
  }

  private edit(number: number, prompt: string): Outcome {
    for (const shot of this.shots.slice(number)) {
      if (shot.number === number) Object.assign(shot, { prompt, prompts: [[0, prompt]] });
      if (shot.state === "done") shot.state = "stale";
      this.tellShot(shot);
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
    this.tell({ type: "deleted", shot: number });
    return {};
  }

  private undo(): Outcome {
    const shot = this.deleted.pop();
    if (!shot) return "There is nothing to undo.";
    this.shots.push(shot);
    this.tellShot(shot);
    return {};
  }

  private pin({ type, shot, frame }: Pin | Unpin): Outcome {
    if (type === "pin") this.memory.pin(this.shots[shot]!, frame);
    else this.memory.unpin(shot, frame);
    this.tellMemory();
    return { applies_from: { shot: this.shots.length, frame: 0 } };
  }

  private refer(upload: string): Outcome {
    this.memory.refer(upload);
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

  private tellMemory(): void {
    this.tell({ type: "memory", ...this.memory.now(this.shots) });
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

  private tellShot(shot: ShotCard): void {
    this.tell({ type: "shot", ...shot });
  }

  private tell(event: ServerEvent): void {
    for (const viewer of this.viewers) viewer.event(event);
  }
}
