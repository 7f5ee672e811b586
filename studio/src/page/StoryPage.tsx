/** One story: the picture, the storyboard, and what directs them. */

import { useRef, useState } from "react";
import type { Vocabulary } from "../story/server";
import { type StoryState, liveShot } from "../story/state";
import { useStory } from "../story/useStory";
import { Composer } from "./Composer";
import { Controls } from "./Controls";
import { Figures } from "./Figures";
import { Header } from "./Header";
import { Help } from "./Help";
import { Memory } from "./Memory";
import { Notices, Obstacles } from "./Notices";
import { Picture } from "./Picture";
import { Storyboard } from "./Storyboard";
import { StateBadge } from "./StateBadge";
import { useKeys } from "./useKeys";
import type { Theme } from "./useTheme";

export function StoryPage({
  story,
  vocabulary,
  theme,
}: {
  story: string;
  vocabulary: Vocabulary;
  theme: Theme;
}) {
  const [canvas, setCanvas] = useState<HTMLCanvasElement | null>(null);
  const [helping, setHelping] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const open = useStory(story, canvas);
  const { state, order, onScreen } = open;
  useKeys({
    compose: () => field.current?.focus(),
    help: () => setHelping(true),
    theme: theme.next,
    follow: open.follow,
    pin: () => onScreen && order({ type: "pin", shot: onScreen.shot, frame: onScreen.frame }),
    undo: () => order({ type: "undo" }),
    pause: () =>
      order({ type: state.telling === "paused" || state.telling === "failed" ? "resume" : "pause" }),
    ...(liveShot(state) && {
      cut: () => order({ type: "cut" }),
      hold: () => order({ type: "hold" }),
      stop: () => order({ type: "stop" }),
    }),
  });
  return (
    <>
      <Header theme={theme} onHelp={() => setHelping(true)}>
        <StateBadge state={state} />
      </Header>
      <main className="story">
        <h1 className="setting">
          <span className="unseen">Setting: </span>
          {state.setting || headingWithout(state)}
        </h1>
        <Obstacles open={open} />
        <div className="stage">
          <Picture open={open} canvas={setCanvas} />
          <Controls open={open} />
        </div>
        <Composer key={story} open={open} vocabulary={vocabulary} field={field} />
        <Storyboard open={open} vocabulary={vocabulary} />
        <aside className="beside" aria-label="Memory and figures">
          <Memory open={open} />
          <Figures state={state} />
        </aside>
      </main>
      <Notices open={open} />
      <Help open={helping} onClose={() => setHelping(false)} />
    </>
  );
}

function headingWithout(state: StoryState): string {
  if (state.stage) return "A story without a setting";
  return state.link === "ended" ? "There is no such story" : "Opening the story …";
}
