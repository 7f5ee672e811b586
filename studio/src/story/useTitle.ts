/** What the open story is called. It is kept beside the story: other viewers see it when they open it anew. */

import { useCallback, useEffect, useState } from "react";
import { readTitle, renameStory } from "./server";

export function useTitle(story: string, isOpen: boolean, wrong: (sentence: string) => void) {
  /** Undefined until it is known. */
  const [title, setTitle] = useState<string>();
  useEffect(() => {
    if (isOpen) readTitle(story).then(setTitle, () => undefined); // the socket says what is wrong
  }, [story, isOpen]);
  const rename = useCallback(
    (to: string) => renameStory(story, to).then(setTitle, (error: Error) => wrong(error.message)),
    [story, wrong],
  );
  return { title, rename };
}
