/** What the page knows of a story: a pure function of what the server said and what was sent. */

import type {
  Command,
  FiguresEvent,
  Limits,
  MemoryEvent,
  ServerEvent,
  ShotEntry,
  Snapshot,
  TellingState,
} from "../protocol";

/** `ended`: the server will not have this story; nothing is tried again. */
export type LinkState = "connecting" | "open" | "lost" | "ended";

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
}

export interface StoryState {
  link: LinkState;
  stage?: Stage;
  setting: string;
  seed: number;
  parent?: Snapshot["parent"];
  telling: TellingState;
  reason?: string;
  shots: ShotEntry[];
  memory?: Omit<MemoryEvent, "type">;
  figures?: FiguresEvent;
  /** Commands without an answer, oldest first. */
  unanswered: Command[];
  notices: Notice[];
  noticesSoFar: number;
  droppedFrames: number;
  promptToGlassSeconds?: number;
}

export type Happening =
  | { kind: "link"; link: LinkState }
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
  unanswered: [],
  notices: [],
  noticesSoFar: 0,
  droppedFrames: 0,
};

const NOTICES_KEPT = 3;

/** The state after something happened. */
export function reduce(state: StoryState, happening: Happening): StoryState {
  switch (happening.kind) {
    case "link":
      return { ...state, link: happening.link };
    case "sent":
      return { ...state, unanswered: [...state.unanswered, happening.command] };
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
      return received(answered(state, event.id), event, commandOf(state, event.id));
    case "refused":
      return noted(answered(state, event.id), {
        tone: "wrong",
        text: event.message,
        typed: promptOf(commandOf(state, event.id)),
      });
    case "state":
      return { ...state, telling: event.state, reason: event.reason };
    case "shot":
      return { ...state, shots: withShot(state.shots, event.shot) };
    case "removed":
      return { ...state, shots: state.shots.filter((shot) => shot.number !== event.shot) };
    case "memory":
      return { ...state, memory: event };
    case "figures":
      return { ...state, figures: event };
    case "shown":
      return { ...state, promptToGlassSeconds: event.prompt_to_glass_seconds };
    case "dropped":
      return { ...state, droppedFrames: state.droppedFrames + event.frames };
    case "error":
      return noted(state, { tone: "wrong", text: event.message });
  }
}

function welcomed(state: StoryState, event: Extract<ServerEvent, { type: "welcome" }>): StoryState {
  const { snapshot } = event;
  return {
    ...state,
    link: "open",
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
    reason: snapshot.reason,
    shots: [...snapshot.shots].sort((one, other) => one.number - other.number),
    memory: { ...(state.memory ?? NO_GAUGES), frames: snapshot.memory },
  };
}

const NO_GAUGES = { global_used: 0, global_size: 0, local_used: 0, local_size: 0 };

function received(
  state: StoryState,
  receipt: Extract<ServerEvent, { type: "receipt" }>,
  command: Command | undefined,
): StoryState {
  if (receipt.story) {
    return noted(state, {
      tone: "plain",
      text: "The branch is a story of its own now.",
      story: receipt.story,
    });
  }
  const from = receipt.applies_from;
  const where = from ? `from shot ${from.shot + 1}, frame ${from.frame + 1}` : "";
  const text = [receipt.note, where && command && `${SAID[command.type] ?? "Applies"} ${where}`]
    .filter(Boolean)
    .join(" · ");
  return text ? noted(state, { tone: "plain", text }) : state;
}

const SAID: Partial<Record<Command["type"], string>> = {
  shoot: "The next shot plays",
  cut: "The cut falls",
  redirect: "The new words play",
  retake: "The new take plays",
  pin: "It is remembered",
  unpin: "It is forgotten",
};

function answered(state: StoryState, id: string): StoryState {
  return { ...state, unanswered: state.unanswered.filter((command) => command.id !== id) };
}

function commandOf(state: StoryState, id: string): Command | undefined {
  return state.unanswered.find((command) => command.id === id);
}

function promptOf(command: Command | undefined): string | undefined {
  return command && "prompt" in command ? command.prompt : undefined;
}

function noted(state: StoryState, notice: Omit<Notice, "number">): StoryState {
  const number = state.noticesSoFar;
  return {
    ...state,
    noticesSoFar: number + 1,
    notices: [...state.notices, { ...notice, number }].slice(-NOTICES_KEPT),
  };
}

function withShot(shots: ShotEntry[], changed: ShotEntry): ShotEntry[] {
  const others = shots.filter((shot) => shot.number !== changed.number);
  return [...others, changed].sort((one, other) => one.number - other.number);
}

/** The shot that is being made, if one is. */
export function liveShot(state: StoryState): ShotEntry | undefined {
  return state.shots.find((shot) => shot.state === "live");
}

/** The first shot whose pictures no longer match the text. */
export function firstStale(state: StoryState): ShotEntry | undefined {
  return state.shots.find((shot) => shot.state === "stale");
}
