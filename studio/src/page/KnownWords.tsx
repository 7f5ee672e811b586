/** Every word that the model knows, to be put into the text by a click. */

import { type RefObject, useState } from "react";
import { withWord } from "../story/words";

interface Props {
  words: ReadonlySet<string>;
  /** Whether the text asks for it; once open, it stays. */
  wanted: boolean;
  field: RefObject<HTMLTextAreaElement | null>;
  onChange(text: string): void;
}

export function KnownWords({ words, wanted, field, onChange }: Props) {
  const [open, setOpen] = useState(false);
  if (!wanted && !open) return null;
  const put = (word: string) => {
    const at = field.current;
    if (!at) return;
    const { text, caret } = withWord(at.value, word, at.selectionStart, at.selectionEnd);
    at.value = text; // first, so that React finds the text there already and leaves the caret
    at.setSelectionRange(caret, caret);
    onChange(text);
  };
  return (
    <details className="known-words" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>All words that it knows</summary>
      <ul aria-label="Words that the model knows">
        {[...words].sort().map((word) => (
          <li key={word}>
            <button type="button" className="link" onClick={() => put(word)}>
              {word}
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
