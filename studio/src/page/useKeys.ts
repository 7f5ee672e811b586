/** Single keys, for when no field has the focus. */

import { useEffect, useRef } from "react";

/** Every key, what it does, and how the help says so. */
export const KEYS = [
  { key: "n", does: "compose", says: "Write the next shot" },
  { key: "c", does: "cut", says: "Cut: end the running shot" },
  { key: "h", does: "hold", says: "Hold: let the shot go on until you cut" },
  { key: "p", does: "pause", says: "Pause, or go on" },
  { key: "s", does: "stop", says: "Stop the shot at once" },
  { key: "m", does: "pin", says: "Remember the frame on the screen" },
  { key: "l", does: "follow", says: "Back to the live picture" },
  { key: "u", does: "undo", says: "Undo" },
  { key: "t", does: "theme", says: "Light or dark" },
  { key: "?", does: "help", says: "This help" },
] as const;

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
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (target.closest("input, textarea, select, dialog")) return;
      const entry = KEYS.find(({ key }) => key === event.key.toLowerCase());
      const action = entry && newest.current[entry.does];
      if (!action || (!keysAreOn() && entry.does !== "help")) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
