/** The words of a shot, changed in place. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import type { PromptMark } from "../story/prompts";
import { type Enter, WordField } from "./WordField";

interface EditorProps {
  prompt: string;
  known?: string[] | null;
  most?: number;
  /** What the server says of the words. */
  marks?: PromptMark[];
  /** Told of every change. */
  onText?(text: string): void;
  onDone(text: string, how: Enter): void;
  onCancel(): void;
  /** What else can be changed. */
  children?: ReactNode;
  /** Another way to end than to keep the words. */
  other?(text: string): ReactNode;
}

export function PromptEditor(props: EditorProps) {
  const { prompt, known, most = 2000, marks, onText, onDone, onCancel, children, other } = props;
  const [text, setText] = useState(prompt);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    field.current?.closest(".card")?.scrollIntoView?.({ block: "nearest" }); // it may return a promise, no clean-up
  }, []);
  useEffect(() => field.current?.select(), []); // what is typed now must not be taken for single keys
  const done = (how: Enter) => text.trim() && onDone(text.trim(), how);
  const change = (changed: string) => {
    setText(changed);
    onText?.(changed);
  };
  return (
    <div className="card-edit" onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <WordField
        label="New words"
        value={text}
        onChange={change}
        onEnter={done}
        known={known}
        marks={marks}
        most={most}
        placeholder=""
        field={field}
      />
      {children}
      <div className="row">
        <button type="button" className="primary" onClick={() => done("alone")}>
          Keep
        </button>
        {other?.(text.trim())}
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </div>
  );
}
