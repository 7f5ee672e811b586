/** A button that takes a file, and a place where one can be dropped. */

import { type DragEvent, type ReactNode, useState } from "react";
import { Icon, type IconName } from "./Icon";

interface Props {
  icon: IconName;
  words: string;
  /** What files there are to choose from, as in an `input`. */
  accept: string;
  busy?: boolean;
  onFile(file: File): void;
  /** What stands in the place where files are dropped, besides the button. */
  children?: ReactNode;
}

export function FileDrop({ icon, words, accept, busy = false, onFile, children }: Props) {
  const [over, setOver] = useState(false);
  const moved = (event: DragEvent) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    setOver(event.type === "dragover");
  };
  const dropped = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file && !busy) onFile(file);
  };
  return (
    <div
      className="drop"
      data-over={over || undefined}
      onDragOver={moved}
      onDragLeave={moved}
      onDrop={dropped}
    >
      {children}
      <label className="button" aria-disabled={busy || undefined}>
        <Icon name={icon} /> {words}
        <input
          className="unseen"
          type="file"
          accept={accept}
          disabled={busy}
          onChange={({ target }) => {
            if (target.files?.[0]) onFile(target.files[0]);
            target.value = "";
          }}
        />
      </label>
    </div>
  );
}
