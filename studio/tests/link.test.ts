import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WebSocket as NodeSocket, type WebSocket as Served, WebSocketServer } from "ws";
import type { ChunkPlace, ClientMessage, Event as ServerEvent } from "../src/protocol";
import { Link, type LinkState, waitBefore } from "../src/story/link";

/** A server that notes what it hears and says only what a test lets it say. */
class Ear {
  readonly heard: ClientMessage[] = [];
  readonly sockets: Served[] = [];
  private readonly http = createServer();

  async open(): Promise<string> {
    new WebSocketServer({ server: this.http }).on("connection", (socket) => {
      this.sockets.push(socket);
      socket.on("message", (data) => this.heard.push(JSON.parse(data.toString()) as ClientMessage));
    });
    await new Promise<void>((done) => this.http.listen(0, "127.0.0.1", done));
    return `ws://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  say(event: object): void {
    this.sockets.at(-1)!.send(JSON.stringify(event));
  }

  async hears(count: number): Promise<ClientMessage[]> {
    await vi.waitFor(() => expect(this.heard.length).toBeGreaterThanOrEqual(count), 5000);
    return this.heard;
  }

  close(): void {
    for (const socket of this.sockets) socket.terminate();
    this.http.close();
  }
}

const WELCOME = { type: "welcome" };
const STORY = "abcdefghijkl";
let ear: Ear;
let link: Link;
let states: LinkState[];
let reasons: string[];
let events: ServerEvent["type"][];
let packets: ArrayBuffer[];
let last: ChunkPlace | undefined;

describe("a link", () => {
  beforeEach(async () => {
    vi.stubGlobal("WebSocket", NodeSocket);
    ear = new Ear();
    [states, reasons, events, packets, last] = [[], [], [], [], undefined];
    link = new Link(await ear.open(), STORY, {
      lastChunk: () => last,
      said: (event) => events.push(event.type),
      packet: (bytes) => packets.push(bytes),
      link: (state, why) => {
        states.push(state);
        if (why) reasons.push(`${why.code}: ${why.sentence}`);
      },
    });
  });
  afterEach(() => {
    link.close();
    ear.close();
    vi.unstubAllGlobals();
  });

  it("says hello first and keeps orders until it is welcome", async () => {
    const command = link.send({ type: "shoot", prompt: "The cat waves." });
    const [hello] = await ear.hears(1);
    expect(hello).toMatchObject({ type: "hello", protocol: 1, story: STORY });
    expect(ear.heard).toHaveLength(1);
    ear.say(WELCOME);
    expect((await ear.hears(2))[1]).toEqual(command);
    expect(states).toEqual(["open"]);
  });

  it("tells what changes of the storyboard before what came after it", async () => {
    const order: (string | ArrayBuffer)[] = [];
    vi.spyOn(events, "push").mockImplementation((type) => order.push(type!));
    vi.spyOn(packets, "push").mockImplementation(() => order.push("packet"));
    await ear.hears(1);
    ear.say(WELCOME);
    for (const type of ["deleted", "shot", "memory", "receipt", "shot"]) ear.say({ type });
    ear.sockets[0]!.send(new Uint8Array(1));
    ear.say({ type: "shot" });
    const before = ["welcome", "deleted", "shot", "memory", "receipt", "shot", "packet", "shot"];
    await vi.waitFor(() => expect(order).toEqual(before));
    ear.say({ type: "memory" });
    ear.sockets[0]!.close(4004, "gone");
    await vi.waitFor(() => expect(states.at(-1)).toBe("ended"));
    expect(order).toEqual([...before, "memory"]);
  });

  it("connects again and sends what is unanswered with the same ids, and only that", async () => {
    await ear.hears(1);
    ear.say(WELCOME);
    const answered = link.send({ type: "pause" });
    const unanswered = link.send({ type: "cut" });
    await ear.hears(3);
    ear.say({ type: "receipt", id: answered.id, applies_from: null });
    await vi.waitFor(() => expect(events).toContain("receipt"));
    last = { shot: 2, take: 1, chunk: 4 };
    ear.sockets[0]!.close(4008, "too slow");
    const whileLost = await vi.waitFor(() => {
      expect(states.at(-1)).toBe("lost");
      return link.send({ type: "undo" });
    });
    expect((await ear.hears(4))[3]).toMatchObject({ type: "hello", after: last });
    ear.say(WELCOME);
    expect((await ear.hears(6)).slice(4)).toEqual([unanswered, whileLost]);
  });

  it("gives binary messages on", async () => {
    await ear.hears(1);
    ear.sockets[0]!.send(new Uint8Array([1, 2, 3]));
    await vi.waitFor(() => expect(packets).toHaveLength(1));
    expect(new Uint8Array(packets[0]!)).toEqual(new Uint8Array([1, 2, 3]));
  });

  it("says the playhead at most 20 times a second, the newest always, and not before the welcome", async () => {
    link.playhead({ shot: 0, take: 0, frame: 0 });
    await new Promise((done) => setTimeout(done, 100));
    await ear.hears(1);
    ear.say(WELCOME);
    await vi.waitFor(() => expect(states).toEqual(["open"]));
    const from = performance.now();
    let frame = 0;
    while (performance.now() - from < 250) {
      link.playhead({ shot: 0, take: 0, frame: ++frame });
      await new Promise((done) => setTimeout(done, 2));
    }
    await vi.waitFor(() => expect(ear.heard.at(-1)).toMatchObject({ type: "playhead", frame }));
    const heads = ear.heard.filter(({ type }) => type === "playhead").length;
    expect(heads).toBeGreaterThanOrEqual(3);
    expect(heads).toBeLessThanOrEqual(6);
  });

  it("too slow for the server, it is back at once", async () => {
    await ear.hears(1);
    ear.say(WELCOME);
    await vi.waitFor(() => expect(states).toEqual(["open"]));
    const from = performance.now();
    ear.sockets[0]!.close(4008);
    await ear.hears(2);
    expect(performance.now() - from).toBeLessThan(150);
  });

  it.each([4001, 4004, 4009, 4403])(
    "gives up at code %i, with a sentence, until a person asks",
    async (code) => {
      await ear.hears(1);
      ear.sockets[0]!.close(code);
      await vi.waitFor(() => expect(states).toEqual(["ended"]));
      expect(reasons[0]).toMatch(new RegExp(`^${code}: .{20,}`));
      await new Promise((done) => setTimeout(done, 400));
      expect(ear.sockets).toHaveLength(1);
      link.retry();
      await ear.hears(2);
    },
  );

  it("waits and tries again where too many watch", async () => {
    await ear.hears(1);
    ear.say({ type: "error", message: "64 viewers are here." });
    ear.sockets[0]!.close(4010);
    await vi.waitFor(() => expect(reasons).toEqual(["4010: 64 viewers are here."]));
    expect(states).toEqual(["full"]);
    await ear.hears(2);
  });

  it("says the server's own sentence when there is one", async () => {
    await ear.hears(1);
    ear.say({ type: "error", message: "That story was deleted." });
    ear.sockets[0]!.close(4004);
    await vi.waitFor(() => expect(reasons).toEqual(["4004: That story was deleted."]));
    expect(events).toEqual([]);
  });
});

it("waits longer every time, up to a limit", () => {
  expect([0, 1, 2, 10].map((attempt) => waitBefore(attempt, 0))).toEqual([250, 500, 1000, 8000]);
  expect(waitBefore(0, 1)).toBeLessThan(250);
});
