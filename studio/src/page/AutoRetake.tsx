/** Whether shots that go on badly with the story are taken anew by themselves. */

import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

/** Scores below which a shot is taken anew; the first turns it off. */
const LEAST = [undefined, 0.75, 0.9] as const;
const MOST_TAKES = 3;

const inWords = (least: number | undefined) =>
  least === undefined ? "Only when I ask" : `Below ${Math.round(least * 100)} %`;

export function AutoRetake({ open: { state, order } }: { open: OpenStory }) {
  const now = state.autoRetake?.min_continuity;
  const words = now === undefined ? "Retakes" : inWords(now);
  return (
    <Menu icon="best" words={words} label={`Retakes by themselves: ${inWords(now)}`}>
      {(close) => (
        <>
          <p className="menu-note dim">
            Take a shot again by itself when too little of its story is kept, {MOST_TAKES} takes at most; the
            best stands.
          </p>
          {LEAST.map((least) => (
            <button
              key={least ?? "off"}
              type="button"
              aria-pressed={least === now}
              onClick={() => {
                close();
                order({ type: "autoretake", min_continuity: least, most_takes: MOST_TAKES });
              }}
            >
              <Icon name={least === now ? "kept" : "best"} /> {inWords(least)}
            </button>
          ))}
        </>
      )}
    </Menu>
  );
}
