/** The tree that the open story is part of, if it has branches. */

import { useEffect, useState } from "react";
import { listFamily } from "../story/server";
import { type Node, familyOf, forest } from "../story/tree";
import type { OpenStory } from "../story/useStory";
import { Tree } from "./Tree";

export function Branches({ open: { story, state } }: { open: OpenStory }) {
  const [family, setFamily] = useState<Node>();
  const branched = state.branches;
  const shots = state.shots.length;
  useEffect(() => {
    const known = (entries: Parameters<typeof forest>[0]) => setFamily(familyOf(forest(entries), story));
    listFamily(story).then(known, () => undefined); // the socket says what is wrong
  }, [story, branched, shots]);
  if (!family || family.branches.length === 0) return null;
  return (
    <section className="panel branches" aria-labelledby="branches">
      <h2 id="branches">Branches</h2>
      <Tree key={story} tree={family} current={story} label="This story and its branches" />
    </section>
  );
}
