/** Orders whose words are adapted first. */

import { useEffect, useRef, useState } from "react";
import type { Place } from "./orderRow";
import { changedBy } from "./prompts";
import type { Prompts } from "./usePrompts";
import type { OpenStory } from "./useStory";

/** Gives an order. */
export type Give = OpenStory["order"];

/**
 * Lets an order wait until it is known what the model gets: where that is not what was written, it is shown, and
 * the next Enter orders it. Who presses Enter while it is asked for orders their own words. Later orders wait, too.
 *
 * @param text what is written; if it changes meanwhile, nothing is ordered.
 */
export function useWhenAdapted(
  { order, reserve }: Pick<OpenStory, "order" | "reserve">,
  text: string,
  prompts: Prompts,
) {
  const [asking, setAsking] = useState(false);
  const newest = useRef(text);
  newest.current = text;
  const place = useRef<Place>(undefined);
  useEffect(() => () => place.current?.leave(), []);
  const whenAdapted = (texts: string[], give: (order: Give) => void) => {
    const unknown = prompts.unknown(texts);
    if (place.current?.isOpen()) {
      give(place.current.order);
      place.current.leave();
      return setAsking(false);
    }
    if (unknown.length === 0) return give(order);
    const mine = (place.current = reserve());
    setAsking(true);
    void prompts
      .ask(unknown)
      .then(
        (reads) => ![...reads.values()].some(changedBy),
        () => true,
      )
      .then((same) => {
        if (same && newest.current === text && mine.isOpen()) give(mine.order);
        mine.leave();
        if (place.current === mine) setAsking(false);
      });
  };
  return { asking, whenAdapted };
}
