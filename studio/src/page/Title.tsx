/** The title of the story, typed in place: Enter or leaving saves it, Escape takes it back. */

import { type KeyboardEvent, useEffect, useRef } from "react";

const MOST_CHARACTERS = 200;

export function Title({ title, onChange }: { title: string | undefined; onChange(title: string): void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (field.current !== document.activeElement) field.current!.value = title ?? "";
  }, [title]);
  const pressed = ({ key, currentTarget, nativeEvent }: KeyboardEvent<HTMLInputElement>) => {
    if (nativeEvent.isComposing) return; // the key is the input method's
    if (key === "Escape") currentTarget.value = title ?? "";
    if (key === "Escape" || key === "Enter") currentTarget.blur();
  };
  const left = (said: string) => said.trim() !== (title ?? "") && onChange(said.trim());
  return (
    <input
      ref={field}
      className="title"
      aria-label="Title"
      placeholder="Untitled story"
      maxLength={MOST_CHARACTERS}
      autoComplete="off"
      enterKeyHint="done"
      readOnly={title === undefined}
      onKeyDown={pressed}
      onBlur={(event) => left(event.target.value)}
    />
  );
}
