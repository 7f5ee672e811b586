/** What is written and not shot yet: the words of the next shot, or a script of many. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { PlannedShot } from "../protocol";
import { readScript, withDetails, writeScript } from "./script";

export function useDraft(story: string) {
  const key = `draft ${story}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? "");
  /** Whether the field is a script's even where it has one shot or none yet. */
  const [opened, setOpened] = useState(false);
  /** Lengths, seeds and the like of the shots: the text has their words alone. */
  const known = useRef<PlannedShot[]>(undefined);
  known.current ??= JSON.parse(sessionStorage.getItem(`${key} shots`) ?? "[]") as PlannedShot[];
  const [changes, setChanges] = useState(0);
  const shots = useMemo(() => withDetails(readScript(text).shots, known.current!), [text, changes]);
  useEffect(() => {
    sessionStorage.setItem(key, text);
    if (shots.length === 0) return; // what was sent comes back if it is refused
    known.current = shots;
    sessionStorage.setItem(`${key} shots`, JSON.stringify(shots));
  }, [key, text, shots]);
  const setShots = useCallback((changed: PlannedShot[]) => {
    known.current = changed;
    setText(writeScript(changed.map(({ prompt }) => prompt)));
    setChanges((count) => count + 1);
  }, []);
  return { text, setText, shots, setShots, opened, setOpened, isScript: opened || shots.length > 1 };
}

export type Draft = ReturnType<typeof useDraft>;
