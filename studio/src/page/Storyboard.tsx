/** The shots as cards. */

import { useEffect, useRef } from "react";
import type { Vocabulary } from "../story/server";
import { firstStale } from "../story/state";
import type { OpenStory } from "../story/useStory";
import { Card } from "./Card";
import { Exports } from "./Exports";
import { Icon } from "./Icon";

export function Storyboard({ open, vocabulary }: { open: OpenStory; vocabulary: Vocabulary }) {
  const { state, order } = open;
  const stale = firstStale(state);
  const staleCount = state.shots.filter((shot) => shot.state === "stale").length;
  const list = useRef<HTMLOListElement>(null);
  const count = state.shots.length;
  const former = useRef(count);
  useEffect(() => {
    list.current?.scrollTo({ left: list.current.scrollWidth });
    const tookFocus = count < former.current && document.activeElement === document.body;
    if (tookFocus) list.current?.focus({ preventScroll: true }); // a card that went took it along
    former.current = count;
  }, [count]);
  return (
    <section className="storyboard" aria-labelledby="storyboard">
      <div className="row">
        <h2 id="storyboard">Storyboard</h2>
        {stale && (
          <p className="stale-note">
            {staleCount === 1 ? "One shot is" : `${staleCount} shots are`} out of date.
            <button type="button" onClick={() => order({ type: "reshoot", from_shot: stale.number })}>
              <Icon name="retake" /> Reshoot from {stale.number + 1}
            </button>
          </p>
        )}
        <span className="gap" />
        {count > 0 && <Exports story={open.story} />}
      </div>
      {count === 0 ? (
        <p className="dim">
          Every shot becomes a card here: play it, take it again, branch off, or change its words.
        </p>
      ) : (
        <ol className="cards" ref={list} tabIndex={-1}>
          {state.shots.map((shot) => (
            <Card key={shot.number} shot={shot} open={open} known={vocabulary.words} />
          ))}
        </ol>
      )}
    </section>
  );
}
