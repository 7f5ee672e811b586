/** The fake server's HTTP side. */

import type { IncomingMessage } from "node:http";
import type { StoryEntry } from "../src/story/server.ts";
import { WIDTH, HEIGHT, toPng } from "./drawing.ts";
import { VOCABULARY } from "./examples.ts";
import type { FakeServer } from "./fake.ts";
import { FPS, filmFrame } from "./film.ts";
import { CHUNK_SECONDS, LIMITS, MODEL, type Telling } from "./telling.ts";

interface Answer {
  status?: number;
  type?: string;
  body?: unknown;
}

const NOTHING: Answer = { status: 404, body: { detail: "The fake server has nothing here." } };
const DONE: Answer = { body: {} };
const MODEL_FACTS = {
  model: MODEL,
  size: [WIDTH, HEIGHT],
  fps: FPS,
  chunk_seconds: CHUNK_SECONDS,
  limits: LIMITS,
};

export class Desk {
  private readonly uploads: { type: string; body: Buffer }[] = [];
  private readonly putAway = new Map<string, number>();

  constructor(private readonly server: FakeServer) {}

  async answer(request: IncomingMessage): Promise<Answer> {
    const [path = "", query] = request.url!.slice("/api/".length).split("?");
    const [what, story, ...rest] = path.split("/");
    const body = await bodyOf(request);
    if (what === "vocabulary") return { body: VOCABULARY };
    if (what === "model") return { body: { ...MODEL_FACTS, version: "fake" } };
    if (what === "uploads") return story ? this.upload(story) : this.keep(request, body);
    if (what !== "stories") return NOTHING;
    if (!story) return request.method === "POST" ? this.begin(body) : this.list(query === "deleted=true");
    if (story === "import") return this.read(body);
    const telling = this.server.tellings.get(story);
    if (telling && request.method === "PATCH") telling.title = JSON.parse(body.toString()).title;
    return telling ? this.ofStory(telling, request.method ?? "", rest) : NOTHING;
  }

  private ofStory(telling: Telling, method: string, [what, ...rest]: string[]): Answer {
    if (what === "stills") return still(telling, rest);
    if (!what && method !== "DELETE") return { body: { title: telling.title } };
    if (what === "undelete") this.putAway.delete(telling.id);
    else if (what === "forever") this.server.tellings.delete(telling.id);
    else if (method === "DELETE") this.putAway.set(telling.id, Date.now() / 1000);
    else return NOTHING;
    return DONE;
  }

  private begin(body: Buffer): Answer {
    const { setting } = JSON.parse(body.toString()) as { setting: string };
    return { status: 201, body: { story: this.server.begin(setting).id } };
  }

  /** A story file as this server reads it: every line with `prompt:` is a shot. */
  private read(body: Buffer): Answer {
    const said = (key: string) =>
      [...body.toString().matchAll(new RegExp(`"?${key}"?: *"?([^"\\n]+)`, "g"))].map((match) => match[1]!);
    const prompts = said("prompt");
    if (prompts.length === 0) return { status: 422, body: { detail: "The file tells no shots." } };
    const telling = this.server.begin(said("setting")[0] ?? "");
    prompts.forEach((prompt, index) =>
      telling.take(undefined, { type: "shoot", id: `file ${index}`, prompt, after: true }),
    );
    return { status: 201, body: { story: telling.id } };
  }

  private list(deleted: boolean): Answer {
    const entries = [...this.server.tellings.values()].map((telling) => this.entry(telling));
    return { body: entries.filter(({ deleted_seconds }) => (deleted_seconds !== null) === deleted) };
  }

  private entry({ id, title, setting, shots, parent, begunSeconds }: Telling): StoryEntry {
    const frames = shots.reduce((sum, shot) => sum + shot.frames, 0);
    const first = shots.find((shot) => shot.frames > 0);
    return {
      story: id,
      title,
      setting,
      seed: 1,
      model: MODEL,
      state: "idle",
      shots: shots.length,
      frames,
      seconds: frames / FPS,
      prompt: shots[0]?.prompt ?? "",
      newest_prompt: shots.at(-1)?.prompt ?? "",
      still: first ? { shot: first.number, take: first.take, frame: 0 } : null,
      parent: parent ?? null,
      created_seconds: begunSeconds,
      changed_seconds: begunSeconds,
      deleted_seconds: this.putAway.get(id) ?? null,
    };
  }

  private keep(request: IncomingMessage, body: Buffer): Answer {
    this.uploads.push({ type: request.headers["content-type"] ?? "", body });
    return { status: 201, body: { upload: `picture${this.uploads.length - 1}` } };
  }

  private upload(name: string): Answer {
    return this.uploads[Number(/^picture(\d+)\.png$/.exec(name)?.[1])] ?? NOTHING;
  }
}

function still({ setting, shots }: Telling, [number, , frame]: string[]): Answer {
  const shot = shots[Number(number)];
  const body = shot && toPng(filmFrame(setting, shot, Number(frame?.replace(".jpg", ""))));
  return body ? { type: "image/png", body } : NOTHING;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
