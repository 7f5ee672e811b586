/** A text field that underlines words the model does not know and offers others. */

import { type KeyboardEvent, type Ref, useId } from "react";
import { stretches, suggestions } from "../story/words";

/** Enter alone, with Ctrl or ⌘, or with Shift and Alt; Shift and Enter begins a line. */
export type Enter = "alone" | "control" | "shift alt";

interface Props {
  label: string;
  value: string;
  onChange(text: string): void;
  onEnter(how: Enter): void;
  known?: string[] | null;
  most: number;
  placeholder: string;
  field?: Ref<HTMLTextAreaElement>;
}

export function WordField(props: Props) {
  const id = useId();
  const known = props.known ? new Set(props.known) : undefined;
  const parts = stretches(props.value, known);
  const unknown = [...new Set(parts.filter((part) => part.unknown).map((part) => part.text))];
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
    if (event.shiftKey && !event.altKey) return;
    event.preventDefault();
    if (event.shiftKey) props.onEnter("shift alt");
    else props.onEnter(event.ctrlKey || event.metaKey ? "control" : "alone");
  };
  return (
    <div className="word-field">
      <label htmlFor={id}>{props.label}</label>
      <div className="word-box">
        <div className="word-marks" aria-hidden="true">
          {parts.map((part, index) => (part.unknown ? <mark key={index}>{part.text}</mark> : part.text))}{" "}
        </div>
        <textarea
          id={id}
          ref={props.field}
          rows={2}
          value={props.value}
          maxLength={props.most}
          placeholder={props.placeholder}
          onChange={(event) => props.onChange(event.target.value)}
          onKeyDown={pressed}
          aria-describedby={`${id}-words`}
        />
      </div>
      <div id={`${id}-words`} aria-live="polite" className="word-help">
        {known &&
          unknown.map((word) => (
            <Unknown key={word} word={word} known={known} value={props.value} onChange={props.onChange} />
          ))}
      </div>
    </div>
  );
}

function Unknown({
  word,
  known,
  value,
  onChange,
}: { word: string; known: Set<string> } & Pick<Props, "value" | "onChange">) {
  const instead = suggestions(word, known);
  const replace = (better: string) => onChange(value.replace(new RegExp(`\\b${word}\\b`, "g"), better));
  return (
    <p>
      The model does not know “{word}”.
      {instead.length > 0 && " Did you mean "}
      {instead.map((better) => (
        <button key={better} type="button" className="link" onClick={() => replace(better)}>
          {better}
        </button>
      ))}
      {instead.length > 0 && "?"}
    </p>
  );
}
