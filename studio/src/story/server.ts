/** The server's HTTP side. Every address is on the host that served the page. */

/** A story in the library. */
export interface StoryEntry {
  story: string;
  setting: string;
  shots: number;
  thumbnail?: string;
  parent?: { story: string; shot: number };
}

/** What the model can be told: its words (absent if it knows any), and things worth trying. */
export interface Vocabulary {
  words?: string[];
  prompts: string[];
  settings: string[];
}

/**
 * The server's JSON answer.
 *
 * @throws Error with a sentence for the person.
 */
async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await fetch(path, init).catch(() => {
    throw new Error("The server does not answer. Is it still running?");
  });
  if (!answer.ok) {
    const { detail } = (await answer.json().catch(() => ({}))) as { detail?: unknown };
    throw new Error(typeof detail === "string" ? detail : `The server answered ${answer.status}.`);
  }
  return (await answer.json()) as T;
}

export const listStories = () => ask<StoryEntry[]>("/api/stories");

export const readVocabulary = () => ask<Vocabulary>("/api/vocabulary");

/** Begins a story; answers with its id. */
export async function beginStory(setting: string): Promise<string> {
  const body = JSON.stringify({ setting });
  const headers = { "Content-Type": "application/json" };
  const { story } = await ask<{ story: string }>("/api/stories", { method: "POST", headers, body });
  return story;
}

/** Uploads a picture; answers with the name for a `reference` command. */
export async function uploadPicture(picture: File): Promise<string> {
  const headers = { "Content-Type": picture.type || "application/octet-stream" };
  const { upload } = await ask<{ upload: string }>("/api/uploads", {
    method: "POST",
    headers,
    body: picture,
  });
  return upload;
}

/** Where a story's socket is. */
export function liveAddress(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`;
}
