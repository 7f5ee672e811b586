/** The socket to the server: connects again by itself and loses no command. */

import type { ChunkOfShot, Command, ServerEvent } from "../protocol";
import type { Position } from "../video/packet";
import type { LinkState } from "./state";

type WithoutId<T> = T extends { id: string } ? Omit<T, "id"> : never;
/** A command before the link has given it an id. */
export type Order = Exclude<WithoutId<Command>, { type: "hello" | "playhead" }>;

/** Who is told what comes in, and what a new connection needs to know. */
export interface Listener {
  /** The last chunk that is here whole; the server goes on after it. */
  lastChunk(): ChunkOfShot | undefined;
  said(event: ServerEvent): void;
  packet(bytes: ArrayBuffer): void;
  link(state: LinkState): void;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;
const PLAYHEAD_EVERY_MS = 60;

/** Milliseconds before attempt number `attempt` (from 0): doubled every time, up to a third less by chance. */
export function waitBefore(attempt: number, chance: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt) * (1 - chance / 3);
}

/** An id that no other command has. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

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
  private ended = false;
  private helloId = "";
  private playheadAt = -Infinity;
  private playheadTimer?: ReturnType<typeof setTimeout>;
  private position?: Position;
  private readonly unanswered = new Map<string, Command>();

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
    if (this.ended || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  close(): void {
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.playheadTimer);
    this.socket?.close();
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.hello();
    socket.onmessage = (message: MessageEvent<string | ArrayBuffer>) => this.heard(message.data);
    socket.onclose = () => this.lost();
    this.socket = socket;
  }

  private hello(): void {
    this.helloId = newId();
    const after = this.listener.lastChunk();
    this.write({ type: "hello", id: this.helloId, protocol: 1, story: this.story, ...(after && { after }) });
  }

  private heard(data: string | ArrayBuffer): void {
    if (this.ended) return;
    if (typeof data !== "string") return this.listener.packet(data);
    const event = JSON.parse(data) as ServerEvent;
    if (event.type === "welcome") this.opened();
    if (event.type === "receipt" || event.type === "refused") this.unanswered.delete(event.id);
    this.listener.said(event);
    if (event.type === "refused" && event.id === this.helloId && event.code !== "busy") {
      this.close();
      this.listener.link("ended");
    }
  }

  private opened(): void {
    this.welcome = true;
    this.attempt = 0;
    this.listener.link("open");
    for (const command of this.unanswered.values()) this.write(command);
  }

  private lost(): void {
    this.socket = undefined;
    this.welcome = false;
    if (this.ended) return;
    this.listener.link("lost");
    this.timer = setTimeout(() => this.connect(), waitBefore(this.attempt++, Math.random()));
  }

  private sayPlayhead(): void {
    this.playheadTimer = undefined;
    this.playheadAt = performance.now();
    if (this.welcome && this.position) this.write({ type: "playhead", id: newId(), ...this.position });
  }

  private write(command: Command): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(command));
  }
}
