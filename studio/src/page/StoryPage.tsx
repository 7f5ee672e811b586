/** One story: the picture, the storyboard, and what directs them. */

import { type CSSProperties, type DragEvent, useEffect, useRef, useState } from "react";
import { type Vocabulary, readVocabulary, takeNotes } from "../story/server";
import { type StoryState, canGoOn, isHalted, isRunning } from "../story/state";
import { useDraft } from "../story/useDraft";
import { frameAt, madeShots } from "../story/timeline";
import { usePrompts } from "../story/usePrompts";
import { useStory } from "../story/useStory";
import { useTitle } from "../story/useTitle";
import { pictureNote } from "../video/screen";
import { Branches } from "./Branches";
import { CastSheet } from "./CastSheet";
import { Composer } from "./Composer";
import { Controls } from "./Controls";
import { Figures } from "./Figures";
import { Header } from "./Header";
import { Help } from "./Help";
import { Memory } from "./Memory";
import { Notices, Obstacles } from "./Notices";
import { Picture, sizeOf } from "./Picture";
import { takeScript } from "./ScriptSwitch";
import { Storyboard } from "./Storyboard";
import { StateBadge } from "./StateBadge";
import { Title } from "./Title";
import { Transport, trimAtPlayhead, turnFullScreen } from "./Transport";
import { Watch } from "./Watch";
import { useKeys } from "./useKeys";
import type { Theme } from "./useTheme";

export function StoryPage({
  story,
  vocabulary: ofAnyStory,
  theme,
}: {
  story: string;
  vocabulary: Vocabulary;
  theme: Theme;
}) {
  const [helping, setHelping] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const open = useStory(story);
  const { state, order, onScreen } = open;
  const draft = useDraft(story);
  const vocabulary = useVocabulary(heroesOf(state), ofAnyStory);
  const prompts = usePrompts(
    state,
    vocabulary.adapter,
    draft.isScript ? draft.shots.map(({ prompt }) => prompt) : [draft.text.trim()],
    state.shots.map(({ prompt }) => prompt),
  );
  const { title, rename } = useTitle(story, state.link === "open", open.wrong);
  const name = title || state.setting;
  const [width, height] = sizeOf(state);
  const note = pictureNote();
  const stageBox = useRef<HTMLDivElement>(null);
  const fps = state.stage?.fps ?? 1;
  const place = onScreen ? frameAt(madeShots(state.shots), onScreen) : 0;
  useEffect(() => {
    document.title = name ? `${name} · ShotStream` : "ShotStream studio";
    return () => void (document.title = "ShotStream studio");
  }, [name]);
  useEffect(() => {
    const notes = takeNotes(story);
    if (notes.length > 0) open.wrong(notes.join(" "));
  }, [story]);
  const isNew = state.stage !== undefined && state.shots.length === 0;
  useEffect(() => {
    if (isNew) field.current?.focus({ preventScroll: true });
  }, [isNew]);
  const trim = (point: "in" | "out") => trimAtPlayhead(open, point);
  useKeys({
    compose: () => field.current?.focus({ preventScroll: true }),
    help: () => setHelping(true),
    theme: theme.next,
    follow: open.follow,
    ...(onScreen && {
      play: () => (open.isPlaying ? open.pause() : open.goOn()),
      back: () => open.step(-1),
      on: () => open.step(1),
      rewind: () => open.seek(place - fps),
      forward: () => open.seek(place + fps),
      in: () => trim("in"),
      out: () => trim("out"),
      mute: () => open.sound.setMuted(!open.sound.muted),
      loop: () => open.setMode({ ...open.mode, loops: !open.mode.loops }),
    }),
    full: () => turnFullScreen(stageBox.current),
    ...(canGoOn(state) && { hold: () => order({ type: "hold" }) }),
    pin: () => onScreen && order({ type: "pin", shot: onScreen.shot, frame: onScreen.frame }),
    ...(state.undoable.length > 0 && { undo: () => order({ type: "undo" }) }),
    ...(isHalted(state) && { pause: () => order({ type: "resume" }) }),
    ...(isRunning(state) && {
      ...(!isHalted(state) && { pause: () => order({ type: "pause" }) }),
      cut: () => order({ type: "cut" }),
      stop: () => order({ type: "stop" }),
    }),
  });
  const drop = {
    onDragOver: (event: DragEvent) => event.dataTransfer.types.includes("Files") && event.preventDefault(),
    onDrop: (event: DragEvent) => {
      const file = event.dataTransfer.files[0];
      if (!file || event.isDefaultPrevented()) return; // a picture for the memory, which took it
      event.preventDefault();
      void takeScript(file, open, draft);
    },
  };
  return (
    <>
      <Header theme={theme} onHelp={() => setHelping(true)} title={<Title title={title} onChange={rename} />}>
        <StateBadge open={open} />
        {state.shots.length > 0 && <Watch story={story} />}
      </Header>
      <Obstacles open={open} />
      <main className="story" style={{ "--ratio": width / height } as CSSProperties} {...drop}>
        <div className="stage" ref={stageBox}>
          <h1 className="setting">
            <span className="unseen">Setting: </span>
            {state.setting || headingWithout(state)}
          </h1>
          <Picture open={open} />
          <Transport open={open} onFull={() => turnFullScreen(stageBox.current)} />
          <Controls open={open} />
          {note && <p className="dim picture-note">{note}</p>}
        </div>
        <Composer
          key={story}
          open={open}
          draft={draft}
          vocabulary={vocabulary}
          field={field}
          prompts={prompts}
        />
        <div className="side">
          <Storyboard open={open} draft={draft} vocabulary={vocabulary} prompts={prompts} />
          <aside className="beside" aria-label="Cast, memory, branches and figures">
            <CastSheet open={open} />
            <Memory open={open} />
            <Branches open={open} />
            <Figures state={state} />
          </aside>
        </div>
      </main>
      <Notices open={open} />
      <Help open={helping} onClose={() => setHelping(false)} />
    </>
  );
}

/** What the model can be told in a story with this setting. */
function useVocabulary(setting: string, ofAnyStory: Vocabulary): Vocabulary {
  const [known, setKnown] = useState<Vocabulary>();
  useEffect(() => {
    if (setting) readVocabulary(setting).then(setKnown, () => undefined); // without it, that of any story
  }, [setting]);
  return known ?? ofAnyStory;
}

/** Whom a story is about: its setting names them, or else its cast sheet. */
const heroesOf = ({ setting, cast }: StoryState) =>
  [setting, ...cast.map(({ description }) => description)].filter(Boolean).join(" ");

function headingWithout(state: StoryState): string {
  if (state.stage) return "A story without a setting";
  return state.link === "ended" ? "There is no such story" : "Opening the story …";
}
