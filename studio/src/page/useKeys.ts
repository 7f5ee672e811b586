/** Single keys, for when no field has the focus. */

import { useEffect, useRef } from "react";

/** Every key, what it does, and how the help says so. */
export const KEYS = [
  { key: "n", does: "compose", says: "Write the next shot" },
  { key: "c", does: "cut", says: "Cut: end the running shot" },
  { key: "h", does: "hold", says: "Hold: let the shot go on until you cut" },
  { key: "m", does: "pause", says: "Pause the making, or go on" },
  { key: "s", does: "stop", says: "Stop the shot, and all that waits" },
  { key: "p", does: "pin", says: "Pin: remember the frame on the screen" },
  { key: " ", does: "play", says: "Play, or stand still" },
  { key: "k", does: "play", says: "The same" },
  { key: "j", does: "rewind", says: "One second back" },
  { key: "l", does: "forward", says: "One second on" },
  { key: "ArrowLeft", does: "back", says: "One frame back" },
  { key: "ArrowRight", does: "on", says: "One frame on" },
  { key: "i", does: "in", says: "In point: the shot begins with this frame" },
  { key: "o", does: "out", says: "Out point: the shot ends with this frame" },
  { key: "r", does: "loop", says: "Again and again" },
  { key: "v", does: "mute", says: "Mute the sound, or hear it" },
  { key: "f", does: "full", says: "Full screen" },
  { key: "g", does: "follow", says: "Go to the live picture" },
  { key: "u", does: "undo", says: "Undo" },
  { key: "t", does: "theme", says: "Light or dark" },
  { key: "?", does: "help", says: "This help" },
] as const;

/** How a key is written on the page. */
export const nameOf = (key: string): string => NAMES[key] ?? key.toUpperCase();
const NAMES: Record<string, string> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→" };

type Does = (typeof KEYS)[number]["does"];

export const keysAreOn = () => localStorage.getItem("single keys") !== "off";
export const switchKeys = (on: boolean) => localStorage.setItem("single keys", on ? "on" : "off");

/** Calls what belongs to a key; keys without an entry do nothing now. */
export function useKeys(actions: Partial<Record<Does, () => void>>): void {
  const newest = useRef(actions);
  newest.current = actions;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as Element;
      if (event.key === "Escape" && target instanceof HTMLTextAreaElement) target.blur();
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.repeat && !/^(Arrow.*|[jl])$/i.test(event.key)) return;
      if (target.closest("input:not([type=range]), textarea, select, dialog[open]")) return;
      const moves = /^(Arrow|Home|End|Page)/.test(event.key);
      if (moves && target.matches("input[type=range]")) return; // they move its thumb
      if (event.key === " " && target.closest("button, a, summary, [role=treeitem]")) return; // it presses that
      const entry = KEYS.find(({ key }) => key.toLowerCase() === event.key.toLowerCase());
      const action = entry && newest.current[entry.does];
      if (!action || (!keysAreOn() && entry.does !== "help")) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
