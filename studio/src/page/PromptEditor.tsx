/** The words of a shot, changed in place. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { WordField } from "./WordField";

interface EditorProps {
  prompt: string;
  known?: string[] | null;
  most?: number;
  onDone(text: string): void;
  onCancel(): void;
  /** What else can be changed. */
  children?: ReactNode;
}

export function PromptEditor({ prompt, known, most = 2000, onDone, onCancel, children }: EditorProps) {
  const [text, setText] = useState(prompt);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    field.current?.closest(".card")?.scrollIntoView?.({ block: "nearest" }); // it may return a promise, no clean-up
  }, []);
  useEffect(() => field.current?.select(), []); // what is typed now must not be taken for single keys
  const done = () => text.trim() && onDone(text.trim());
  return (
    <div className="card-edit" onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <WordField
        label="New words"
        value={text}
        onChange={setText}
        onEnter={done}
        known={known}
        most={most}
        placeholder=""
        field={field}
      />
      {children}
      <div className="row">
        <button type="button" className="primary" onClick={done}>
          Keep
        </button>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </div>
  );
}
