/** The socket to the server: connects again by itself and loses no command. */

import type { ChunkPlace, ClientMessage, Command, Event as ServerEvent } from "../protocol";
import type { Position } from "../video/packet";
import { NO_TOKEN } from "./server";

type WithoutId<T> = T extends { id: string } ? Omit<T, "id"> : never;
/** A command before the link has given it an id. */
export type Order = WithoutId<Command>;

/**
 * `full`: too many watch, and it is tried again. `ended`: the server said why it will not go on; nothing is tried
 * again unless a person asks.
 */
export type LinkState = "connecting" | "open" | "lost" | "full" | "ended";

/** Why a server closes a socket; other codes are accidents. */
export const CLOSED = {
  otherVersion: 4001,
  noStory: 4004,
  tooSlow: 4008,
  tooMuchSaid: 4009,
  comeLater: 4010,
  notAllowed: 4403,
} as const;

const SENTENCES: Record<number, string> = {
  [CLOSED.otherVersion]: "This page and the server are of different versions. Load the page again.",
  [CLOSED.noStory]: "There is no such story here.",
  [CLOSED.tooMuchSaid]: "The server hung up because this page said too much at once.",
  [CLOSED.notAllowed]: NO_TOKEN,
};

const COME_LATER = "Too many watch just now.";

/** Who is told what comes in, and what a new connection needs to know. */
export interface Listener {
  /** The last chunk that is here whole; the server goes on after it. */
  lastChunk(): ChunkPlace | undefined;
  said(event: ServerEvent): void;
  packet(bytes: ArrayBuffer): void;
  /** @param why only with `full` and `ended`: a sentence, and the code the socket was closed with. */
  link(state: LinkState, why?: { sentence: string; code: number }): void;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;
const PLAYHEAD_EVERY_MS = 60;
const BOARD_WAITS_MS = 16;
/** What one command changes of the storyboard, a message for every card: it is told in one go. */
const OF_THE_BOARD: ReadonlySet<ServerEvent["type"]> = new Set(["shot", "deleted", "memory"]);

/** Milliseconds before attempt number `attempt` (from 0): doubled every time, up to a third less by chance. */
export function waitBefore(attempt: number, chance: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt) * (1 - chance / 3);
}

/** An id that no other command has. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A seed that no take has: takes of one seed are more alike. */
export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0]!;

/**
 * One story's connection.
 *
 * A command is kept until its receipt or refusal has come, and sent again, with the same id, on every new
 * connection; the server does it once.
 */
export class Link {
  private socket?: WebSocket;
  private timer?: ReturnType<typeof setTimeout>;
  private attempt = 0;
  private welcome = false;
  private closed = false;
  private lastError?: string;
  private playheadAt = -Infinity;
  private playheadTimer?: ReturnType<typeof setTimeout>;
  private position?: Position;
  private readonly unanswered = new Map<string, Command>();
  private board: ServerEvent[] = [];
  private boardTimer?: ReturnType<typeof setTimeout>;

  constructor(
    private readonly url: string,
    private readonly story: string,
    private readonly listener: Listener,
  ) {
    this.connect();
  }

  /** Sends an order, now or as soon as there is a connection; returns it as the command it became. */
  send(order: Order): Command {
    const command = { ...order, id: newId() } as Command;
    this.unanswered.set(command.id, command);
    this.sayPlayhead(); // the server goes by what is on the screen now
    if (this.welcome) this.write(command);
    return command;
  }

  /** Says what is on the screen: at most 20 times a second, the newest always, nothing without a connection. */
  playhead(position: Position): void {
    this.position = position;
    if (this.playheadTimer !== undefined) return;
    const waitMs = Math.max(0, this.playheadAt + PLAYHEAD_EVERY_MS - performance.now());
    this.playheadTimer = setTimeout(() => this.sayPlayhead(), waitMs);
  }

  /** Tries at once instead of waiting, for a person who asks. */
  retry(): void {
    if (this.closed || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.playheadTimer);
    clearTimeout(this.boardTimer);
    this.socket?.close();
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.hello();
    socket.onmessage = (message: MessageEvent<string | ArrayBuffer>) => this.heard(message.data);
    socket.onclose = ({ code }) => this.lost(code);
    this.socket = socket;
  }

  private hello(): void {
    const after = this.listener.lastChunk();
    this.write({ type: "hello", protocol: 1, story: this.story, ...(after && { after }) });
  }

  private heard(data: string | ArrayBuffer): void {
    if (this.closed) return;
    if (typeof data !== "string") {
      this.sayBoard();
      return this.listener.packet(data);
    }
    const event = JSON.parse(data) as ServerEvent;
    if (OF_THE_BOARD.has(event.type)) {
      this.board.push(event);
      this.boardTimer ??= setTimeout(() => this.sayBoard(), BOARD_WAITS_MS);
      return;
    }
    this.sayBoard();
    if (event.type === "error") this.lastError = event.message;
    if (event.type === "error" && !this.welcome) return; // what follows is the socket's end, which says it
    if (event.type === "welcome") this.opened();
    if (event.type === "receipt" || event.type === "refused") this.unanswered.delete(event.id);
    this.listener.said(event);
  }

  /** Says in one task what waits, before what came after it: a page draws itself once for it. */
  private sayBoard(): void {
    clearTimeout(this.boardTimer);
    this.boardTimer = undefined;
    for (const event of this.board.splice(0)) this.listener.said(event);
  }

  private opened(): void {
    this.welcome = true;
    this.attempt = 0;
    this.listener.link("open");
    for (const command of this.unanswered.values()) this.write(command);
  }

  private lost(code: number): void {
    if (!this.closed) this.sayBoard();
    const wasWelcome = this.welcome;
    const said = this.lastError;
    this.socket = undefined;
    this.welcome = false;
    this.lastError = undefined;
    if (this.closed) return;
    if (SENTENCES[code]) return this.listener.link("ended", { sentence: said ?? SENTENCES[code], code });
    if (code === CLOSED.comeLater) this.listener.link("full", { sentence: said ?? COME_LATER, code });
    else this.listener.link("lost");
    const atOnce = code === CLOSED.tooSlow && wasWelcome;
    const waitMs = atOnce ? 0 : waitBefore(this.attempt++, Math.random());
    this.timer = setTimeout(() => this.connect(), waitMs);
  }

  private sayPlayhead(): void {
    clearTimeout(this.playheadTimer);
    this.playheadTimer = undefined;
    this.playheadAt = performance.now();
    if (this.welcome && this.position) this.write({ type: "playhead", ...this.position });
  }

  private write(message: ClientMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
