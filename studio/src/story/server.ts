/** The server's HTTP side. Every address is beside the page, whatever path a proxy gives it. */

import type { Limits, MemoryFrame, PlannedShot, SheetCharacter, ShotCard, State } from "../protocol";
import type { Position } from "../video/packet";
import { shownOf } from "./timeline";

/** A story in the library. */
export interface StoryEntry {
  story: string;
  /** What people call it; may be empty. */
  title: string;
  setting: string;
  seed: number;
  model: string;
  state: State;
  shots: number;
  frames: number;
  seconds: number;
  /** Of the first shot; empty if there is none. */
  prompt: string;
  newest_prompt: string;
  still: Position | null;
  /** The first frame that the film shows. */
  cover: Position | null;
  /** The shot up to which it is another story. */
  parent: { story: string; shot: number } | null;
  created_seconds: number;
  changed_seconds: number;
  /** When it was put away; null if it was not. */
  deleted_seconds: number | null;
}

/** What a story is called on the page. */
export const titleOf = ({ title, setting, prompt }: StoryEntry) =>
  title || setting || prompt || "A story without a setting";

/** What makes the pictures. */
export interface Model {
  model: string;
  size: [number, number];
  fps: number;
  chunk_seconds: number;
  limits: Limits;
  version: string;
  /** Names of the LoRAs that shots can be made with. */
  loras: string[];
}

/** What the model can be told: its words (null if it knows any), and things worth trying. */
export interface Vocabulary {
  words: string[] | null;
  prompts: string[];
  settings: string[];
  /** Words for who a story can be about; none where the model reads any word. */
  names: string[];
  /** Who the setting is about, such as “the robot”. */
  hero: string | null;
  /** Who brings prompts into the model's form; null where it reads plain text. */
  adapter: "rules" | "endpoint" | null;
}

export const NO_TOKEN = "The studio does not let this page in: its token is missing or old.";
export const NO_ANSWER = "The studio does not answer. Is it still running?";

/** The server wants a token that this browser has not. */
export class NotAllowed extends Error {}

/** No server answers. */
export class NotThere extends Error {}

/** What the server said was wrong, as a sentence for the person. */
export function mistake(status: number, answer: string): Error {
  if (status === 401) return new NotAllowed(NO_TOKEN);
  try {
    const { detail } = JSON.parse(answer) as { detail?: unknown };
    if (typeof detail === "string") return new Error(detail);
  } catch {
    // no JSON: something between the page and the server answered
  }
  return new Error(`The server answered ${status}.`);
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  const answer = await fetch(path, init).catch(() => {
    throw new NotThere(NO_ANSWER);
  });
  if (!answer.ok) throw mistake(answer.status, await answer.text().catch(() => ""));
  return answer;
}

/**
 * The server's JSON answer.
 *
 * @throws Error with a sentence for the person; `NotAllowed` when a token is wanted.
 */
async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await request(path, init)).json()) as T;
}

const posted = (type: string, body: string | File, method = "POST"): RequestInit => ({
  method,
  headers: { "Content-Type": type },
  body,
});

export const readModel = () => ask<Model>("api/model");

export const readVocabulary = (setting = "") =>
  ask<Vocabulary>(`api/vocabulary?setting=${encodeURIComponent(setting)}`);

/** A part of the library, and where the next one is. */
export interface StoryList {
  stories: StoryEntry[];
  /** The address of older ones, if there are any. */
  next?: string;
}

const FIRST_STORIES = "api/stories";

/** Stories of the library, or of those that were put away: the newest, or what is at `address`. */
export async function listStories(putAway = false, address?: string, search = ""): Promise<StoryList> {
  const wanted = new URLSearchParams({ ...(putAway && { deleted: "true" }), ...(search && { search }) });
  const first = wanted.size > 0 ? `${FIRST_STORIES}?${wanted}` : FIRST_STORIES;
  const answer = await request(address ?? first);
  const all = (await answer.json()) as StoryEntry[];
  const next = /<\?([^>]+)>; rel="next"/.exec(answer.headers.get("Link") ?? "")?.[1];
  return {
    stories: all.filter(({ deleted_seconds }) => (deleted_seconds !== null) === putAway),
    ...(next && { next: `${FIRST_STORIES}?${next}` }),
  };
}

/** Where a chunk looked; the shares of all frames and of its own shot are 1 together. */
export interface AttentionRead {
  shot: number;
  take: number;
  chunk: number;
  frames: { shot: number; take: number; frame: number; share: number; layers: number[] }[];
  own_share: number;
  own_layers: number[];
}

/** Where a chunk of the newest shot looked, the newest if none is named. */
export const readAttention = (story: string, chunk?: number) =>
  ask<AttentionRead>(`api/stories/${story}/attention${chunk === undefined ? "" : `?chunk=${chunk}`}`);

/** A story, and all that it branched off and that branched off it. */
export const listFamily = (story: string) => ask<StoryEntry[]>(`api/stories/${story}/family`);

const SEEDS = 2 ** 32;

/** Begins a story, another one every time; answers with its id. */
export async function beginStory(setting: string): Promise<string> {
  const body = JSON.stringify({ setting, seed: Math.floor(Math.random() * SEEDS) });
  return (await ask<{ story: string }>("api/stories", posted("application/json", body))).story;
}

const FILE_TYPES: Record<string, string> = {
  json: "application/json",
  yaml: "text/yaml",
  yml: "text/yaml",
  txt: "text/plain",
  md: "text/markdown",
  fountain: "text/x-fountain",
  fdx: "text/x-fdx",
  csv: "text/csv",
};

const ZIP = "application/zip";
/** What `story.zip` is: a story file with its pictures and sounds. */
const isZip = (file: File) => file.name.toLowerCase().endsWith(".zip");

/** Story files and scripts, as an `input` names them. */
export const STORY_FILES = Object.keys(FILE_TYPES)
  .map((ending) => `.${ending}`)
  .join();

async function fileBody(file: File, offered = STORY_FILES): Promise<RequestInit> {
  const type = FILE_TYPES[file.name.split(".").at(-1)!.toLowerCase()];
  if (!type) throw new Error(`“${file.name}” is no story. Take one of ${offered.replaceAll(",", ", ")}.`);
  return posted(type, await file.text());
}

/** The same, and whole stories with their pictures and sounds. */
export const WHOLE_STORIES = `${STORY_FILES},.zip`;

/** Under which name the notes of a story's file wait until the story is open. */
const notesOf = (story: string) => `notes ${story}`;

/** What is to be said of the file that a story came from; it is said once. */
export function takeNotes(story: string): string[] {
  const notes = JSON.parse(sessionStorage.getItem(notesOf(story)) ?? "[]") as string[];
  sessionStorage.removeItem(notesOf(story));
  return notes;
}

/** Begins the story that a file tells, and queues its shots; answers with its id. */
export async function importStory(file: File): Promise<string> {
  const body = isZip(file) ? posted(ZIP, file) : await fileBody(file, WHOLE_STORIES);
  const { story, notes } = await ask<{ story: string; notes?: string[] }>("api/stories/import", body);
  if (notes && notes.length > 0) sessionStorage.setItem(notesOf(story), JSON.stringify(notes));
  return story;
}

/** What a story file or script tells. */
export interface ScriptRead {
  setting: string;
  cast: SheetCharacter[];
  shots: PlannedShot[];
}

/** Reads a story file or script; nothing is told. */
export async function readStoryFile(file: File): Promise<ScriptRead> {
  if (isZip(file)) {
    throw new Error(`“${file.name}” is a whole story with its pictures. Open it on the page of all stories.`);
  }
  return ask("api/scripts", await fileBody(file));
}

export const readTitle = async (story: string) =>
  (await ask<{ title: string }>(`api/stories/${story}`)).title;

/** Paths with which others watch a story and can do nothing else. */
export interface WatchLinks {
  /** The story as it stands. */
  story: string;
  /** What happens in it, as server-sent events. */
  events: string;
  /** The film by now. */
  film: string;
}

/** @throws Error if the studio asks for no token: then nobody needs a link. */
export const readWatchLinks = (story: string) => ask<WatchLinks>(`api/stories/${story}/watch`);

/** How many watch a story now. */
export const readViewers = async (story: string) =>
  (await ask<{ viewers: number }>(`api/stories/${story}`)).viewers;

/** Gives a story another title; answers with it as it is kept. */
export async function renameStory(story: string, title: string): Promise<string> {
  const body = posted("application/json", JSON.stringify({ title }), "PATCH");
  return (await ask<{ title: string }>(`api/stories/${story}`, body)).title;
}

/** Begins a story that is what another one is by now; answers with its id. */
export async function duplicate(story: string): Promise<string> {
  return (await ask<{ story: string }>(`api/stories/${story}/duplicate`, { method: "POST" })).story;
}

/** Puts a story away; it can be brought back. */
export const putAway = (story: string) => request(`api/stories/${story}`, { method: "DELETE" });

export const bringBack = (story: string) => request(`api/stories/${story}/undelete`, { method: "POST" });

/** Deletes a story that was put away, with all its files. */
export const forget = (story: string) => request(`api/stories/${story}/forever`, { method: "DELETE" });

/** A sound file of a story. */
export interface SoundFile {
  sound: string;
  name: string;
  seconds: number;
}

/** Sound files, as an `input` names them. */
export const SOUND_FILES = ".wav,.mp3,.flac,.ogg,.oga,.opus,.m4a";

/** The sound files of a story, heard or not. */
export const listSounds = (story: string) => ask<SoundFile[]>(`api/stories/${story}/sounds`);

/** Sends a sound file, of so many bytes at most; `sound` then lets it be heard. */
export async function sendSound(story: string, file: File, mostBytes: number): Promise<SoundFile> {
  if (file.size > mostBytes) {
    const [has, most] = [file.size, mostBytes].map((bytes) => (bytes / 2 ** 20).toFixed(0));
    throw new Error(`The sound has ${has} MiB; at most ${most} are taken. Save it as MP3 or M4A.`);
  }
  const address = `api/stories/${story}/sounds?name=${encodeURIComponent(file.name.slice(0, 200))}`;
  return ask<SoundFile>(address, { method: "POST", body: file });
}

/** The loudest sample of every twentieth of a second, 0 to 255. */
export const readWaveform = (story: string, sound: string) =>
  ask<number[]>(`api/stories/${story}/sounds/${sound}/waveform`);

/** Where a sound file is. */
export const soundAddress = (story: string, sound: string) => `api/stories/${story}/sounds/${sound}`;

/** Where the picture of a frame is. */
export const stillAddress = (story: string, { shot, take, frame }: Position) =>
  `api/stories/${story}/stills/${shot}/${take}/${frame}.jpg`;

/** Where the first picture of a shot is that the film shows, if it has one. */
export const cardAddress = (story: string, shot: ShotCard) =>
  shot.frames > 0
    ? stillAddress(story, { shot: shot.number, take: shot.take, frame: shownOf(shot).first })
    : undefined;

/** Where the film of one take is. */
export const takeAddress = (story: string, shot: number, take: number) =>
  `api/stories/${story}/clips/${shot}/${take}.mp4`;

/** Where a picture is that was sent. */
export const uploadAddress = (upload: string) => `api/uploads/${upload}.png`;

/** Where the picture of a remembered frame is. */
export const memoryAddress = (story: string, frame: MemoryFrame) =>
  frame.upload ? uploadAddress(frame.upload) : stillAddress(story, frame);

/** Where the whole film of these shots is; another address for every other film. */
export const filmAddress = (story: string, shots: ShotCard[]) =>
  `api/stories/${story}/film.mp4?of=${shots.map(ofFilm).join("-")}`;

const ofFilm = (shot: ShotCard) => {
  const { first, last } = shownOf(shot);
  return `${shot.number}.${shot.take}.${first}.${last}`;
};

/** Where a take is as a film that grows while it is made, from a frame on. */
export const growingAddress = (story: string, { shot, take, frame }: Position) =>
  `api/stories/${story}/live.mp4?shot=${shot}&take=${take}&frame=${frame}`;

/** What can be taken home: the file, and what it is. */
export const EXPORTS = [
  ["film.mp4", "The film", "one video, all shots"],
  ["clips.zip", "Clips", "a video for each shot"],
  ["timeline.otio", "Timeline", "for editing programs (OTIO)"],
  ["timeline.edl", "Edit list", "for editing programs (CMX 3600)"],
  ["timeline.xml", "Timeline XML", "for Final Cut Pro 7, Premiere, Resolve"],
  ["subtitles.srt", "Subtitles", "the prompts, in time (SRT)"],
  ["script.fdx", "Script", "for Final Draft (FDX)"],
  ["script.fountain", "Script in Fountain", "for screenwriting programs"],
  ["script.md", "Script in Markdown", "title, setting, a paragraph a shot"],
  ["script.txt", "Plain text", "a paragraph a shot"],
  ["shots.csv", "Table of shots", "for spreadsheets (CSV)"],
  ["story.yaml", "Story file", "to tell it again (YAML)"],
  ["story.zip", "Story with pictures and sounds", "to open it in any studio (zip)"],
  ["story.json", "Everything", "takes and seeds too (JSON)"],
] as const;

/** Where a story's socket is. */
export function liveAddress(): string {
  return new URL("api/live", document.baseURI).href.replace(/^http/, "ws");
}
