/** A button that opens a list of choices. */

import { type CSSProperties, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Icon, type IconName } from "./Icon";

interface Props {
  icon: IconName;
  /** Beside the icon; without words, `label` names the button. */
  words?: string;
  label: string;
  /** The choices; `close` puts the list away, `choice` makes a button that does so and then acts. */
  children(close: () => void, choice: Choice): ReactNode;
}

type Choice = (icon: IconName, words: string, act: () => void) => ReactNode;

export function Menu({ icon, words, label, children }: Props) {
  const [open, setOpen] = useState(false);
  const [place, setPlace] = useState<CSSProperties>();
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (open) setPlace(placeBeside(box.current!.querySelector("button")!.getBoundingClientRect()));
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const outside = ({ target }: Event) => !box.current?.contains(target as Element) && setOpen(false);
    const follow = ({ target }: Event) => {
      if (target instanceof Element && box.current?.contains(target)) return;
      const button = box.current!.querySelector("button")!.getBoundingClientRect();
      if (button.bottom < 0 || button.top > innerHeight) setOpen(false);
      else setPlace(placeBeside(button));
    };
    for (const kind of ["pointerdown", "focusin"]) addEventListener(kind, outside);
    addEventListener("scroll", follow, true);
    addEventListener("resize", follow);
    return () => {
      for (const kind of ["pointerdown", "focusin"]) removeEventListener(kind, outside);
      removeEventListener("scroll", follow, true);
      removeEventListener("resize", follow);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("button")?.focus();
  };
  const choice: Choice = (picture, what, act) => (
    <button type="button" onClick={() => (close(), act())}>
      <Icon name={picture} /> {what}
    </button>
  );
  return (
    <div className="menu-box" ref={box} onKeyDown={(event) => event.key === "Escape" && close()}>
      <button type="button" onClick={() => setOpen(!open)} aria-expanded={open} aria-label={label}>
        <Icon name={icon} /> {words}
      </button>
      {open && (
        <div className="menu panel" style={place}>
          {children(close, choice)}
        </div>
      )}
    </div>
  );
}

const MARGIN = 8;

/** Where a list fits in the window: on the sides of its button that have more room, and no larger than that. */
function placeBeside(button: DOMRect): CSSProperties {
  const above = button.top - MARGIN;
  const below = innerHeight - button.bottom - MARGIN;
  const toTheLeft = button.right - MARGIN;
  const toTheRight = innerWidth - button.left - MARGIN;
  return {
    ...(below >= above ? { top: button.bottom } : { bottom: innerHeight - button.top }),
    ...(toTheRight >= toTheLeft ? { left: button.left } : { right: innerWidth - button.right }),
    maxHeight: Math.max(above, below),
    maxWidth: Math.max(toTheLeft, toTheRight),
  };
}
