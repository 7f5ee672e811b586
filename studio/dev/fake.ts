/** A server that looks like ShotStream's, for working on the page: `npm run dev:fake`. Nothing is kept. */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { Command, HelloCommand, ServerEvent } from "../src/protocol.ts";
import { toPng } from "./drawing.ts";
import { filmFrame } from "./film.ts";
import { Telling, type Viewer } from "./telling.ts";

const TICK_MS = 500;
const SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day.";
const PROMPTS = [
  "Wide shot of the orange cat waving hello.",
  "Close up. The cat looks around.",
  "Medium shot. The orange cat walks along. The camera pans slowly.",
  "In a wide shot, the cat jumps up and down.",
  "Medium shot of the orange cat dancing happily.",
];
const SETTINGS = [
  SETTING,
  "A blue robot with a crown is in a city at night.",
  "A red rabbit with a scarf is in the snow at sunset.",
];
const WORDS = `${[...PROMPTS, ...SETTINGS].join(" ")} a an and are bear beach bunny by close deep does forest green
  hat hop kitten looking medium moon purple sea shot standing still sunglasses the walking waves wide woods yellow`;
const VOCABULARY = {
  words: [...new Set(WORDS.toLowerCase().match(/[a-z]+/g))].sort(),
  prompts: PROMPTS,
  settings: SETTINGS,
};

export class FakeServer {
  private readonly tellings = new Map<string, Telling>();
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
    const path = (request.url ?? "").split("?")[0]!;
    if (!path.startsWith("/api/")) return next();
    const picture = /^\/api\/stories\/([a-z0-9]{12})\/frames\/(\d+)\/(\d+)$/.exec(path);
    if (picture) return this.sendPicture(response, picture[1]!, Number(picture[2]), Number(picture[3]));
    const answer = await this.answer(path, request);
    response.writeHead(answer ? 200 : 404, { "Content-Type": "application/json" });
    response.end(JSON.stringify(answer ?? { detail: "The fake server has nothing here." }));
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
    telling.shots.push(...from.shots.slice(0, shot + 1).map((entry) => structuredClone(entry)));
    return telling.id;
  }

  private async answer(path: string, request: IncomingMessage): Promise<unknown> {
    const body = await bodyOf(request);
    if (path === "/api/vocabulary") return VOCABULARY;
    if (path === "/api/uploads") return { upload: "picture" };
    if (path !== "/api/stories") return undefined;
    if (request.method === "POST")
      return { story: this.begin((JSON.parse(body) as { setting: string }).setting).id };
    return [...this.tellings.values()].map(({ id, setting, shots, parent }) => {
      return { story: id, setting, shots: shots.length, thumbnail: shots[0]?.thumbnail, parent };
    });
  }

  private sendPicture(response: ServerResponse, id: string, number: number, frame: number): void {
    const telling = this.tellings.get(id);
    const shot = telling?.shots[number];
    response.writeHead(shot ? 200 : 404, { "Content-Type": "image/png" });
    response.end(shot && toPng(filmFrame(telling.setting, shot, frame)));
  }

  private welcome(socket: WebSocket): void {
    const viewer: Viewer = {
      event: (event: ServerEvent) => socket.send(JSON.stringify(event)),
      packet: (bytes) => socket.send(bytes),
    };
    socket.once("message", (data) => {
      const hello = parse(data) as HelloCommand;
      const telling = this.tellings.get(hello.story ?? "");
      if (!telling) {
        viewer.event({
          type: "refused",
          id: hello.id,
          code: "not_found",
          message: "There is no such story here.",
        });
        return socket.close();
      }
      telling.join(viewer, hello.after);
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
      telling.take(silent, { type: "playhead", id: "before", shot: number, take, frame: frames - 1 });
    }
  });
}

/** A fake server that has one story of three shots. */
export function fakeServer(): FakeServer {
  const server = new FakeServer();
  tellBefore(server.begin(SETTING), 3);
  return server;
}

const parse = (data: RawData): Command => JSON.parse(data.toString()) as Command;

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
