/** A text field that underlines words the model does not know and offers others. */

import { type KeyboardEvent, type ReactNode, type RefObject, useId, useRef } from "react";
import type { PromptMark } from "../story/prompts";
import { stretches, suggestions } from "../story/words";
import { KnownWords } from "./KnownWords";

/** Enter alone, with Ctrl or ⌘, or with Shift and Alt; Shift and Enter begins a line. */
export type Enter = "alone" | "control" | "shift alt";

interface Props {
  label: string;
  value: string;
  onChange(text: string): void;
  onEnter(how: Enter): void;
  known?: string[] | null;
  /** What the server says of words, if it was asked: then those alone count, with near ones by meaning. */
  marks?: PromptMark[];
  most: number;
  placeholder: string;
  field?: RefObject<HTMLTextAreaElement | null>;
  /** Whether Enter alone begins a line, as Shift and Enter always does. */
  breaksLines?: boolean;
  /** What stands beside the label. */
  beside?: ReactNode;
}

export function WordField(props: Props) {
  const id = useId();
  const own = useRef<HTMLTextAreaElement>(null);
  const field = props.field ?? own;
  const known = props.known ? new Set(props.known) : undefined;
  const parts = stretches(props.value, known, props.marks);
  const unknown = [...new Set(parts.filter((part) => part.unknown).map((part) => part.text))];
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
    const isBare = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.shiftKey ? !event.altKey : props.breaksLines && isBare) return;
    event.preventDefault();
    if (event.shiftKey) props.onEnter("shift alt");
    else props.onEnter(event.ctrlKey || event.metaKey ? "control" : "alone");
  };
  return (
    <div className="word-field">
      <div className="word-label">
        <label htmlFor={id}>{props.label}</label>
        {props.beside}
      </div>
      <div className="word-box">
        <div className="word-marks" aria-hidden="true">
          {parts.map((part, index) => (part.unknown ? <mark key={index}>{part.text}</mark> : part.text))}{" "}
        </div>
        <textarea
          id={id}
          ref={field}
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
        {known && <Unknown {...props} words={unknown} known={known} />}
      </div>
      {known && (
        <KnownWords words={known} wanted={unknown.length > 0} field={field} onChange={props.onChange} />
      )}
    </div>
  );
}

interface UnknownProps extends Pick<Props, "value" | "onChange" | "marks"> {
  words: string[];
  known: Set<string>;
}

const MOST_MEANT = 3;

/** What becomes of words that the model does not know: each with near ones, the others together. */
function Unknown({ words, known, value, marks, onChange }: UnknownProps) {
  const meant = (word: string) =>
    marks?.find((mark) => mark.code === "unknown" && mark.words === word)?.near.slice(0, MOST_MEANT);
  const all = words.map((word) => ({ word, near: meant(word) ?? suggestions(word, known) }));
  const alone = all.filter(({ near }) => near.length === 0).map(({ word }) => `“${word}”`);
  const replace = (word: string, better: string) =>
    onChange(value.replace(new RegExp(`\\b${word}\\b`, "g"), better));
  return (
    <>
      {all.map(
        ({ word, near }) =>
          near.length > 0 && (
            <p key={word}>
              The model does not know “{word}”. Did you mean{" "}
              {near.map((better) => (
                <button key={better} type="button" className="link" onClick={() => replace(word, better)}>
                  {better}
                </button>
              ))}
              ?
            </p>
          ),
      )}
      {alone.length > 0 && (
        <p>
          The model leaves out {new Intl.ListFormat("en").format(alone)}: it does not know{" "}
          {alone.length === 1 ? "this word" : "these words"}.
        </p>
      )}
    </>
  );
}
