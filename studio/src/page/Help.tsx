import { useEffect, useRef, useState } from "react";
import { COMPARE_KEYS } from "./Compare";
import { CARD_KEYS } from "./Planned";
import { SOUND_KEYS } from "./SoundTracks";
import { TRIM_KEYS } from "./TrimEditor";
import { KEYS, keysAreOn, nameOf, switchKeys } from "./useKeys";

/** Keys of what has the focus. */
const ELSEWHERE = [
  ...CARD_KEYS.map(({ key, says }) => ({ key, says: `${says} (on its card)` })),
  ...TRIM_KEYS,
  ...SOUND_KEYS,
  ...COMPARE_KEYS,
];

/** How to direct, and every key. */
export function Help({ open, onClose }: { open: boolean; onClose(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const [keys, setKeys] = useState(keysAreOn);
  useEffect(() => {
    if (!open) return dialog.current?.close();
    dialog.current?.showModal();
    heading.current?.focus(); // the first line, not the first button far below
  }, [open]);
  const change = (on: boolean) => {
    setKeys(on);
    switchKeys(on);
  };
  return (
    <dialog
      className="panel help"
      ref={dialog}
      onClose={onClose}
      onKeyDown={(event) => event.key === "Escape" && dialog.current?.close()} // at once, not a moment later
      aria-labelledby="help"
    >
      <h2 id="help" ref={heading} tabIndex={-1}>
        How to direct
      </h2>
      <p>
        Write what happens in a shot and press <kbd>Enter</kbd>: it plays while it is being made. Write the
        next one whenever you like; it cuts in. Or paste a whole script, a line or paragraph for each shot,
        and press <kbd>Ctrl</kbd> <kbd>Enter</kbd>. The memory strip shows which frames keep the cast and the
        place the same.
      </p>
      <dl className="keys">
        <div>
          <dt>
            <kbd>Enter</kbd>
          </dt>
          <dd>Shoot what is written</dd>
        </div>
        <div>
          <dt>
            <kbd>Ctrl</kbd> <kbd>Enter</kbd>
          </dt>
          <dd>Redirect the running shot by what is written; shoot all of a script</dd>
        </div>
        <div>
          <dt>
            <kbd>Shift</kbd> <kbd>Alt</kbd> <kbd>Enter</kbd>
          </dt>
          <dd>Shoot it after the running shot</dd>
        </div>
        {KEYS.map(({ key, says }) => (
          <div key={key}>
            <dt>
              <kbd>{nameOf(key)}</kbd>
            </dt>
            <dd>{says}</dd>
          </div>
        ))}
        {ELSEWHERE.map(({ key, says }) => (
          <div key={key}>
            <dt>{key.split(" ").map((one) => (one === "–" ? " – " : <kbd key={one}>{one}</kbd>))}</dt>
            <dd>{says}</dd>
          </div>
        ))}
        <div>
          <dt>
            <kbd>Esc</kbd>
          </dt>
          <dd>Leave the text, so that the keys above work</dd>
        </div>
      </dl>
      <div className="row end">
        <label className="inline">
          <input type="checkbox" checked={keys} onChange={(event) => change(event.target.checked)} /> Single
          keys
        </label>
        <span className="gap" />
        <button type="button" className="primary" onClick={onClose}>
          Close
        </button>
      </div>
    </dialog>
  );
}
