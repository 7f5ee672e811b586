/** What the page knows of a story: a pure function of what the server said and what was sent. */

import type {
  AutoRetakeRule,
  Command,
  Figures,
  Limits,
  Memory,
  PlacedSound,
  Receipt,
  SheetCharacter,
  Refused,
  Event as ServerEvent,
  ShotCard,
  Snapshot,
  State,
  StateChanged,
  Welcome,
} from "../protocol";
import type { LinkState } from "./link";
import { inOrder, numberOf, shotsBefore } from "./numbers";
import { writeScript } from "./script";

/** What the server told about itself and the story when the socket opened. */
export interface Stage {
  story: string;
  model: string;
  size: [number, number];
  fps: number;
  chunkSeconds: number;
  limits: Limits;
}

/** A line for the person: what became of a command, or what went wrong. */
export interface Notice {
  number: number;
  tone: "plain" | "wrong";
  text: string;
  /** A story to go to. */
  story?: string;
  /** Text of a refused command, so that nothing typed is lost. */
  typed?: string;
  /** Whether an undo brings back what went. */
  undo?: boolean;
}

export interface StoryState {
  link: LinkState;
  /** Why the link has ended, in a sentence. */
  linkReason?: string;
  stage?: Stage;
  setting: string;
  seed: number;
  parent?: Snapshot["parent"];
  telling: State;
  reason?: string;
  /** In the order of the film. */
  shots: ShotCard[];
  memory?: Memory;
  /** What is heard with the film. */
  sounds: PlacedSound[];
  /** Who is called by name in the story. */
  cast: Character[];
  /** When shots are taken anew by themselves; never without. */
  autoRetake?: AutoRetakeRule;
  figures?: Figures;
  /** Orders that the picture is to turn for and has not yet, oldest first. */
  underWay: Command[];
  /** Commands without an answer, oldest first. */
  unanswered: Command[];
  /**
   * What is said of each of these when it is taken, by its id, if an undo takes it back. It is told by the story as it
   * was: what a command changes is heard of before its receipt.
   */
  changing: Record<string, string>;
  notices: Notice[];
  noticesSoFar: number;
  droppedFrames: number;
  promptToGlassSeconds?: number;
  /** How many stories branched off while this page was open. */
  branches: number;
  /** What was done on this page and can be taken back, oldest first: to the story, or to what waits. */
  undoable: ("story" | "queue")[];
}

/** One of the cast. */
export type Character = Required<SheetCharacter>;

export type Happening =
  | { kind: "link"; link: LinkState; reason?: string }
  | { kind: "sent"; command: Command }
  | { kind: "said"; event: ServerEvent }
  | { kind: "note"; tone: Notice["tone"]; text: string }
  | { kind: "dismissed"; notice: number };

export const nothingYet: StoryState = {
  link: "connecting",
  setting: "",
  seed: 0,
  telling: "idle",
  shots: [],
  sounds: [],
  cast: [],
  underWay: [],
  unanswered: [],
  changing: {},
  notices: [],
  noticesSoFar: 0,
  droppedFrames: 0,
  branches: 0,
  undoable: [],
};

const NOTICES_KEPT = 3;

/** The state after something happened. */
export function reduce(state: StoryState, happening: Happening): StoryState {
  switch (happening.kind) {
    case "link":
      return { ...state, link: happening.link, linkReason: happening.reason };
    case "sent":
      return sent(state, happening.command);
    case "said":
      return afterEvent(state, happening.event);
    case "note":
      return noted(state, { tone: happening.tone, text: happening.text });
    case "dismissed":
      return { ...state, notices: state.notices.filter((notice) => notice.number !== happening.notice) };
  }
}

function afterEvent(state: StoryState, event: ServerEvent): StoryState {
  switch (event.type) {
    case "welcome":
      return welcomed(state, event);
    case "receipt":
      return received(settled(state, event), event, commandOf(state, event.id));
    case "refused":
      return refused(state, event);
    case "state":
      return restated(state, event);
    case "shot":
      return { ...state, shots: withShot(state.shots, event) };
    case "deleted":
      return { ...state, shots: state.shots.filter((shot) => shot.number !== event.shot) };
    case "memory":
      return { ...state, memory: event };
    case "sounds":
      return { ...state, sounds: event.sounds };
    case "cast":
      return { ...state, cast: event.cast };
    case "setting":
      return { ...state, setting: event.setting };
    case "retakes":
      return { ...state, autoRetake: event.rule ?? undefined };
    case "figures":
      return { ...state, figures: event };
    case "shown":
      return { ...seen(state, event.id), promptToGlassSeconds: event.prompt_to_glass_seconds };
    case "turned":
      return state; // the picture's matter
    case "dropped":
      return { ...state, droppedFrames: state.droppedFrames + event.frames };
    case "error":
      return noted(state, { tone: "wrong", text: event.message });
  }
}

/** Whether the running shot does not go on from an order as it was: the picture turns after the chunk it shows. */
export function turns(command: Command, state: StoryState): boolean {
  if (command.type === "shoot" && command.after) return false; // it waits, and is not waited for
  return isRunning(state) && TURNS.has(command.type);
}

const TURNS = new Set<Command["type"]>(["shoot", "redirect", "retake", "reshoot", "cut", "stop"]);

function sent(state: StoryState, command: Command): StoryState {
  const underWay = turns(command, state) ? [...state.underWay, command] : state.underWay;
  const changes = CHANGED[command.type]?.(command, state);
  const changing = changes ? { ...state.changing, [command.id]: changes } : state.changing;
  return { ...state, underWay, changing, unanswered: [...state.unanswered, command] };
}

/** An order is no longer under way when the picture has turned for it, or for a later one. */
function seen(state: StoryState, id: string): StoryState {
  const at = state.underWay.findIndex((command) => command.id === id);
  return { ...state, underWay: state.underWay.slice(at + 1) };
}

/** Nothing will show an order without a first frame, and after a pause nobody waits. */
function settled(state: StoryState, { id, applies_from }: Receipt): StoryState {
  if (commandOf(state, id)?.type === "pause") return { ...state, underWay: [] };
  return applies_from ? state : withoutOrder(state, id);
}

const withoutOrder = (state: StoryState, id: string): StoryState => ({
  ...state,
  underWay: state.underWay.filter((command) => command.id !== id),
});

/** When the last shot is over, nothing waits whose order could be taken back. */
function restated(state: StoryState, { state: telling, reason }: StateChanged): StoryState {
  const isOver = telling === "idle" && ["shooting", "holding", "cutting"].includes(state.telling);
  const undoable = isOver ? state.undoable.filter((done) => done === "story") : state.undoable;
  return { ...state, telling, reason: reason ?? undefined, undoable };
}

function refused(state: StoryState, { id, message }: Refused): StoryState {
  const typed = promptOf(commandOf(state, id), state.shots);
  return noted(answered(withoutOrder(state, id), id), { tone: "wrong", text: message, typed });
}

function welcomed(state: StoryState, event: Welcome): StoryState {
  const { snapshot } = event;
  return {
    ...state,
    link: "open",
    linkReason: undefined,
    stage: {
      story: event.story,
      model: event.model,
      size: event.size,
      fps: event.fps,
      chunkSeconds: event.chunk_seconds,
      limits: event.limits,
    },
    setting: snapshot.setting,
    seed: snapshot.seed,
    parent: snapshot.parent,
    telling: snapshot.state,
    reason: snapshot.reason ?? undefined,
    underWay: state.underWay.filter(({ id }) => state.unanswered.some((command) => command.id === id)),
    shots: inOrder(snapshot.shots),
    memory: snapshot.memory,
    sounds: snapshot.sounds,
    cast: snapshot.cast,
    autoRetake: snapshot.auto_retake ?? undefined,
  };
}

function received(before: StoryState, receipt: Receipt, command: Command | undefined): StoryState {
  const changes = before.changing[receipt.id];
  let state = answered(before, receipt.id);
  if (receipt.story) {
    const text = "The branch is a story of its own now.";
    return noted({ ...state, branches: state.branches + 1 }, { tone: "plain", text, story: receipt.story });
  }
  if (command?.type === "replan") {
    const planned = withoutUndo(state);
    return noteOf({ ...planned, undoable: [...state.undoable, "queue"] }, receipt);
  }
  if (command && changes) {
    const done = command.type === "delete" && state.telling !== "idle" ? "queue" : "story";
    const notice = { tone: "plain" as const, text: changes, undo: true };
    return noted({ ...state, undoable: [...state.undoable, done] }, notice);
  }
  if (command?.type === "undo") {
    return noteOf({ ...withoutUndo(state), undoable: state.undoable.slice(0, -1) }, receipt);
  }
  if (command && !UNDO_SURVIVES.has(command.type)) state = withoutUndo(state);
  return noteOf(state, receipt, command && whereOf(receipt, command.type, state.shots));
}

function noteOf(state: StoryState, { note }: Receipt, where?: string): StoryState {
  const text = [note, where].filter(Boolean).join(" · ");
  return text ? noted(state, { tone: "plain", text }) : state;
}

/** What a deleted shot can still be brought back after; an undo is done. */
const UNDO_SURVIVES = new Set<Command["type"]>(["pause", "resume", "branch", "autoretake", "setting"]);

function withoutUndo(state: StoryState): StoryState {
  return { ...state, undoable: [], notices: state.notices.filter(({ undo }) => !undo) };
}

/** What a command has changed that an undo takes back, in a sentence. */
const CHANGED: Partial<Record<Command["type"], (command: Command, state: StoryState) => string>> = {
  delete: (command, state) =>
    `Shot ${shotOf(command, state)} ${state.telling === "idle" ? "is deleted" : "no longer waits"}.`,
  trim: (command, state) =>
    command.type === "trim" && !command.in_frame && typeof command.out_frame !== "number"
      ? `Shot ${shotOf(command, state)} is whole again.`
      : `Shot ${shotOf(command, state)} is trimmed.`,
  move: (command, { shots }) => {
    if (command.type !== "move") return "";
    const others = inFilm(shots).filter(({ number }) => number !== command.shot);
    const told = others.filter(({ frames }) => frames > 0);
    const place = typeof command.before === "number" ? shotsBefore(others, command.before) : told;
    return `Shot ${numberOf(shots, command.shot)} is shot ${place.length + 1} now.`;
  },
  sound: (command, { sounds, unanswered }) => {
    const isHeard = [...sounds, ...unanswered.filter(({ type }) => type === "sound")].some(
      (one) => "sound" in one && "sound" in command && one.sound === command.sound,
    );
    return isHeard ? "The sound has changed." : "The sound is heard with the film.";
  },
  cast: () => "The cast sheet has changed.",
  silence: () => "The sound is off the film.",
};

const shotOf = (command: Command, { shots }: StoryState) =>
  "shot" in command ? numberOf(shots, command.shot) : "";

const SAID: Partial<Record<Command["type"], string>> = {
  shoot: "Your words play",
  redirect: "The new words play",
  retake: "The new take plays",
  reshoot: "New takes play",
  hold: "It holds",
  extend: "It goes on",
  pin: "It is remembered",
  reference: "Your picture is remembered",
  unpin: "It is forgotten",
};

/** The shots that are not deleted. */
export const inFilm = (shots: ShotCard[]) => shots.filter(({ state }) => state !== "deleted");

/** From where on a command applies, counted as people count. */
function whereOf({ applies_from: from }: Receipt, type: Command["type"], shots: ShotCard[]): string {
  if (!from) return "";
  const shot = numberOf(shots, from.shot);
  const where = from.frame === 0 ? `the start of shot ${shot}` : `shot ${shot}, frame ${from.frame + 1}`;
  return `${SAID[type] ?? "Applies"} from ${where}.`;
}

function answered(state: StoryState, id: string): StoryState {
  const { [id]: _, ...changing } = state.changing;
  return { ...state, changing, unanswered: state.unanswered.filter((command) => command.id !== id) };
}

function commandOf(state: StoryState, id: string): Command | undefined {
  return state.unanswered.find((command) => command.id === id);
}

export function promptOf(command: Command | undefined, waiting: ShotCard[] = []): string | undefined {
  if (command?.type === "replan") {
    const orders = command.shots.filter(({ prompt }) => !waiting.some((shot) => shot.prompt === prompt));
    return writeScript(orders.map(({ prompt, written }) => written ?? prompt)) || undefined;
  }
  if (command && "written" in command && command.written) return command.written;
  return command && "prompt" in command ? (command.prompt ?? undefined) : undefined;
}

function noted(state: StoryState, notice: Omit<Notice, "number">): StoryState {
  const number = state.noticesSoFar;
  return {
    ...state,
    noticesSoFar: number + 1,
    notices: newest([...state.notices.filter(stays(notice)), { ...notice, number }]),
  };
}

/** The newest of each kind: a mistake never takes the place of a story to go to. */
const newest = (notices: Notice[]) =>
  notices.filter((notice) => {
    const later = notices.filter(({ number, story }) => number > notice.number && !story === !notice.story);
    return later.length < NOTICES_KEPT;
  });

/** What stays beside another notice; of those with an undo it is the newest that is taken back. */
const stays = (next: Omit<Notice, "number">) => (notice: Notice) =>
  asks(notice) && !(next.undo && notice.undo);

/** Whether a notice is more than good news, which the next news replaces. */
const asks = ({ tone, story, undo }: Notice) => tone === "wrong" || story !== undefined || undo === true;

function withShot(shots: ShotCard[], changed: ShotCard): ShotCard[] {
  const others = shots.filter((shot) => shot.number !== changed.number);
  return inOrder([...others, changed]);
}

/** Whether a shot is being made, or would be but for a pause: it has no picture before its first chunk. */
export function isRunning({ telling, shots }: StoryState): boolean {
  if (telling === "paused") return shots.some(({ state }) => state === "live" || state === "queued");
  return telling !== "idle" && telling !== "failed";
}

/** Whether nothing is made until somebody says so. */
export const isHalted = ({ telling }: StoryState) => telling === "paused" || telling === "failed";

/** Whether there is a shot to hold or to make longer: the newest can go on after its end, too. */
export function canGoOn(state: StoryState): boolean {
  return isRunning(state) || (state.telling === "idle" && state.shots.length > 0);
}

/** The first shot whose pictures no longer match the text. */
export function firstStale(state: StoryState): ShotCard | undefined {
  return state.shots.find((shot) => shot.state === "stale");
}

/** What a shot was told when a frame of it was made; every chunk but the first has `perChunk` frames. */
export function promptAt(shot: ShotCard, frame: number, perChunk: number): string {
  const begins = (chunk: number) => (chunk ? shot.frames - perChunk * (shot.chunks - chunk) : 0);
  return shot.prompts.findLast(([chunk]) => begins(chunk) <= frame)?.[1] ?? shot.prompt;
}
