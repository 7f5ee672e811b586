/** A server that looks like ShotStream's, for working on the page: `npm run dev:fake`. Nothing is kept. */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { ClientMessage, Event as ServerEvent } from "../src/protocol.ts";
import { Desk } from "./desk.ts";
import { PROMPTS, SETTING } from "./examples.ts";
import { Telling, type Viewer } from "./telling.ts";

const TICK_MS = 500;

export class FakeServer {
  readonly tellings = new Map<string, Telling>();
  private readonly desk = new Desk(this);
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly timer = setInterval(() => this.tellings.forEach((telling) => telling.tick()), TICK_MS);

  constructor() {
    this.sockets.on("connection", (socket) => this.welcome(socket));
  }

  /** Takes over the sockets at `/api/live` of an HTTP server. */
  attach(server: Server): void {
    server.on("upgrade", (request, stream, head) => {
      if (request.url !== "/api/live") return;
      this.sockets.handleUpgrade(request, stream, head, (socket) => this.sockets.emit("connection", socket));
    });
  }

  /** Answers what is under `/api`; everything else goes on. */
  async handle(request: IncomingMessage, response: ServerResponse, next: () => void): Promise<void> {
    if (!request.url?.startsWith("/api/")) return next();
    const { status = 200, type = "application/json", body } = await this.desk.answer(request);
    response.writeHead(status, { "Content-Type": type });
    response.end(type === "application/json" ? JSON.stringify(body) : body);
  }

  /** Opens a story; answers with it. */
  begin(setting: string, parent?: { story: string; shot: number }): Telling {
    const id = Array.from({ length: 12 }, () => Math.floor(Math.random() * 36).toString(36)).join("");
    const telling = new Telling(id, setting, (from, shot) => this.branch(from, shot), parent);
    this.tellings.set(id, telling);
    return telling;
  }

  close(): void {
    clearInterval(this.timer);
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
  }

  private branch(from: Telling, shot: number): string {
    const telling = this.begin(from.setting, { story: from.id, shot });
    telling.title = from.title;
    telling.shots.push(...from.shots.slice(0, shot + 1).map((card) => structuredClone(card)));
    return telling.id;
  }

  private welcome(socket: WebSocket): void {
    const viewer: Viewer = {
      event: (event: ServerEvent) => socket.send(JSON.stringify(event)),
      packet: (bytes) => socket.send(bytes),
    };
    socket.once("message", (data) => {
      const hello = parse(data);
      const telling = hello.type === "hello" ? this.tellings.get(hello.story ?? "") : undefined;
      if (hello.type !== "hello" || !telling) {
        viewer.event({ type: "error", message: "There is no such story here." });
        return socket.close(4004);
      }
      telling.join(viewer, hello.after ?? undefined);
      socket.on("message", (message) => telling.take(viewer, parse(message)));
      socket.on("close", () => telling.viewers.delete(viewer));
    });
  }
}

/** Fills a story with shots that are complete, as if they had been told before. */
export function tellBefore(telling: Telling, count: number): void {
  const silent: Viewer = { event: () => undefined, packet: () => undefined };
  PROMPTS.slice(0, count).forEach((prompt, index) => {
    telling.take(silent, { type: "shoot", id: `before ${index}`, prompt });
    while (telling.shots.at(-1)!.state === "live") {
      telling.tick();
      const { number, take, frames } = telling.shots.at(-1)!;
      telling.take(silent, { type: "playhead", shot: number, take, frame: frames - 1 });
    }
  });
}

/** A fake server that has one story of three shots. */
export function fakeServer(): FakeServer {
  const server = new FakeServer();
  tellBefore(server.begin(SETTING), 3);
  return server;
}

const parse = (data: RawData): ClientMessage => JSON.parse(data.toString()) as ClientMessage;
