/** A button that opens a list of choices. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { Icon, type IconName } from "./Icon";

interface Props {
  icon: IconName;
  /** Beside the icon; without words, `label` names the button. */
  words?: string;
  label: string;
  /** The choices; `close` puts the list away. */
  children(close: () => void): ReactNode;
}

export function Menu({ icon, words, label, children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = ({ target }: Event) => !box.current?.contains(target as Element) && setOpen(false);
    for (const kind of ["pointerdown", "focusin"]) addEventListener(kind, outside);
    return () => ["pointerdown", "focusin"].forEach((kind) => removeEventListener(kind, outside));
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("button")?.focus();
  };
  return (
    <div className="menu-box" ref={box} onKeyDown={(event) => event.key === "Escape" && close()}>
      <button type="button" onClick={() => setOpen(!open)} aria-expanded={open} aria-label={label}>
        <Icon name={icon} /> {words}
      </button>
      {open && <div className="menu panel">{children(close)}</div>}
    </div>
  );
}
