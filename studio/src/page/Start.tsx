/** The first page: begin a story, or go on with one. */

import { type DragEvent, type FormEvent, useEffect, useMemo, useRef, useState } from "react";
import { OrderRow } from "../story/orderRow";
import { readSettings } from "../story/prompts";
import { isUnready, useReadiness } from "../story/readiness";
import { NotThere, WHOLE_STORIES, type Vocabulary, beginStory, importStory } from "../story/server";
import { usePrompts } from "../story/usePrompts";
import { useWhenAdapted } from "../story/useWhenAdapted";
import { AdaptSwitch, Adapted } from "./Adapted";
import { FileDrop } from "./FileDrop";
import { Header } from "./Header";
import { Help } from "./Help";
import { Icon } from "./Icon";
import { Library } from "./Library";
import { Unready } from "./Notices";
import { WordField } from "./WordField";
import { Wrong } from "./Wrong";
import { useKeys } from "./useKeys";
import type { Theme } from "./useTheme";

const MOST_SETTING_CHARACTERS = 2000;
const NO_CAST = { setting: "", cast: [] };

export function Start({ vocabulary, theme }: { vocabulary: Vocabulary; theme: Theme }) {
  const [helping, setHelping] = useState(false);
  const [wrong, setWrong] = useState<Error>();
  const [isOpening, setOpening] = useState(false);
  const opening = useRef(false);
  const open = (story: () => Promise<string>) => {
    if (opening.current) return; // a second Enter is for the same story
    setOpening((opening.current = true));
    setWrong(undefined);
    const opened = story().then((id) => void (location.hash = `#/${id}`), setWrong);
    void opened.finally(() => setOpening((opening.current = false)));
  };
  const openFile = (file: File) => open(() => importStory(file));
  const drop = {
    onDragOver: (event: DragEvent) => event.dataTransfer.types.includes("Files") && event.preventDefault(),
    onDrop: (event: DragEvent) => {
      const file = event.dataTransfer.files[0];
      if (!file || event.isDefaultPrevented()) return; // the place for files took it
      event.preventDefault();
      openFile(file);
    },
  };
  const isAway = wrong instanceof NotThere;
  const readiness = useReadiness(isAway);
  useKeys({ help: () => setHelping(true), theme: theme.next });
  useEffect(() => {
    if (readiness === "ready") setWrong((now) => (now instanceof NotThere ? undefined : now));
  }, [readiness]);
  return (
    <>
      <Header theme={theme} onHelp={() => setHelping(true)} />
      <div className="obstacles" role="alert">
        {isUnready(readiness) && <Unready readiness={readiness} />}
      </div>
      <main className="start" {...drop}>
        <h1>Tell a story, shot by shot.</h1>
        <p className="lead">
          Say who is in it and where. Then direct: every shot plays while it is being made.
        </p>
        <Begin
          vocabulary={vocabulary}
          wrong={isAway && isUnready(readiness) ? undefined : wrong}
          setWrong={setWrong}
          {...{ isOpening, open, openFile }}
        />
        <Library />
      </main>
      <Help open={helping} onClose={() => setHelping(false)} />
    </>
  );
}

interface BeginProps {
  vocabulary: Vocabulary;
  wrong?: Error;
  setWrong(error: Error): void;
  /** Whether a story is being begun or sent. */
  isOpening: boolean;
  /** Goes to the story that a request begins. */
  open(story: () => Promise<string>): void;
  openFile(file: File): void;
}

function Begin({ vocabulary, wrong, setWrong, isOpening, open, openFile }: BeginProps) {
  const [setting, setSetting] = useState("");
  const text = setting.trim();
  const rules = vocabulary.adapter && "rules"; // an endpoint is asked for prompts alone
  const prompts = usePrompts(NO_CAST, rules, [text], [], readSettings);
  const nothingWaits = useMemo(() => new OrderRow(() => undefined), []);
  const { asking, whenAdapted } = useWhenAdapted(
    { order: (what) => nothingWaits.give(what), reserve: () => nothingWaits.reserve() },
    setting,
    prompts,
  );
  const begin = () => {
    if (!text) return setWrong(new Error("Say first who is in the story, and where."));
    whenAdapted([text], () => open(() => beginStory(prompts.changed(text) ?? text)));
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    begin();
  };
  return (
    <form className="panel begin" onSubmit={submit} aria-label="A new story">
      <WordField
        label="Who is in the story, and where?"
        value={setting}
        onChange={setSetting}
        onEnter={begin}
        known={vocabulary.words}
        marks={prompts.marksAsWritten([text])}
        most={MOST_SETTING_CHARACTERS}
        placeholder={vocabulary.settings[0] ?? "A lighthouse keeper and her dog, on a stormy island."}
      />
      <Adapted text={text} prompts={prompts} asking={asking} />
      <Examples texts={vocabulary.settings} onChoose={setSetting} />
      <Wrong error={wrong} />
      <div className="row end">
        <AdaptSwitch prompts={prompts} />
        <FileDrop
          icon="import"
          words={isOpening ? "Opening …" : "Open a story or script"}
          accept={WHOLE_STORIES}
          busy={isOpening}
          onFile={openFile}
        />
        <span className="gap" />
        <button type="submit" className="primary">
          <Icon name="shoot" /> Begin
        </button>
      </div>
    </form>
  );
}

function Examples({ texts, onChoose }: { texts: string[]; onChoose(text: string): void }) {
  if (texts.length === 0) return null;
  return (
    <ul className="chips" aria-label="Examples">
      {texts.map((text) => (
        <li key={text}>
          <button type="button" className="chip" onClick={() => onChoose(text)}>
            {text}
          </button>
        </li>
      ))}
    </ul>
  );
}
