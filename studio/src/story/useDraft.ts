/** What is written and not shot yet: the words of the next shot, or a script of many. */

import { useCallback, useEffect, useMemo, useState } from "react";
import { readScript, writeScript } from "./script";

export function useDraft(story: string) {
  const key = `draft ${story}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? "");
  /** Whether the field is a script's even where it has one shot or none yet. */
  const [opened, setOpened] = useState(false);
  useEffect(() => sessionStorage.setItem(key, text), [key, text]);
  const shots = useMemo(() => readScript(text).shots, [text]);
  const setShots = useCallback((changed: string[]) => setText(writeScript(changed)), []);
  return { text, setText, shots, setShots, opened, setOpened, isScript: opened || shots.length > 1 };
}

export type Draft = ReturnType<typeof useDraft>;
