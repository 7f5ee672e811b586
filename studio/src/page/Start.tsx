/** The first page: begin a story, or go on with one. */

import { type FormEvent, useEffect, useState } from "react";
import { type StoryEntry, type Vocabulary, beginStory, listStories } from "../story/server";
import { Header } from "./Header";
import { Help } from "./Help";
import { Icon } from "./Icon";
import { WordField } from "./WordField";
import type { Theme } from "./useTheme";

const MOST_SETTING_CHARACTERS = 2000;

export function Start({ vocabulary, theme }: { vocabulary: Vocabulary; theme: Theme }) {
  const [setting, setSetting] = useState("");
  const [stories, setStories] = useState<StoryEntry[]>();
  const [wrong, setWrong] = useState<string>();
  const [helping, setHelping] = useState(false);
  useEffect(() => {
    listStories().then(setStories, (error: Error) => setWrong(error.message));
  }, []);

  const begin = async (event?: FormEvent) => {
    event?.preventDefault();
    if (!setting.trim()) return setWrong("Say first who is in the story, and where.");
    try {
      location.hash = `#/${await beginStory(setting.trim())}`;
    } catch (error) {
      setWrong((error as Error).message);
    }
  };

  return (
    <>
      <Header theme={theme} onHelp={() => setHelping(true)} />
      <main className="start">
        <h1>Tell a story, shot by shot.</h1>
        <p className="lead">
          Say who is in it and where. Then direct: every shot plays while it is being made.
        </p>
        <form className="panel begin" onSubmit={begin}>
          <WordField
            label="Who is in the story, and where?"
            value={setting}
            onChange={setSetting}
            onEnter={begin}
            known={vocabulary.words}
            most={MOST_SETTING_CHARACTERS}
            placeholder={vocabulary.settings[0] ?? "A lighthouse keeper and her dog, on a stormy island."}
          />
          <Examples texts={vocabulary.settings} onChoose={setSetting} />
          <div className="row end">
            <p className="wrong" role="alert">
              {wrong}
            </p>
            <button type="submit" className="primary">
              <Icon name="shoot" /> Begin
            </button>
          </div>
        </form>
        {stories && stories.length > 0 && <Library stories={stories} />}
      </main>
      <Help open={helping} onClose={() => setHelping(false)} />
    </>
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

function Library({ stories }: { stories: StoryEntry[] }) {
  return (
    <section aria-labelledby="library">
      <h2 id="library">Your stories</h2>
      <ul className="library">
        {stories.map(({ story, setting, shots, thumbnail, parent }) => (
          <li key={story}>
            <a className="panel book" href={`#/${story}`}>
              {thumbnail ? <img src={thumbnail} alt="" /> : <span className="no-picture" />}
              <span className="book-setting">{setting || "A story without a setting"}</span>
              <span className="dim">
                {shots === 1 ? "1 shot" : `${shots} shots`}
                {parent && ` · branched after shot ${parent.shot + 1}`}
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
