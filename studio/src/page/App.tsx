/** The page: the library, or the story that the address names. */

import { useEffect, useState } from "react";
import { type Vocabulary, readVocabulary } from "../story/server";
import { Start } from "./Start";
import { StoryPage } from "./StoryPage";
import { useTheme } from "./useTheme";

const storyInAddress = () => /^#\/([a-z0-9]{12})$/.exec(location.hash)?.[1];

const ANY_WORD: Vocabulary = { words: null, prompts: [], settings: [], names: [], hero: null, adapter: null };

export function App() {
  const [story, setStory] = useState(storyInAddress);
  const [vocabulary, setVocabulary] = useState(ANY_WORD);
  const theme = useTheme();
  useEffect(() => {
    const moved = () => setStory(storyInAddress());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => {
    readVocabulary().then(setVocabulary, () => undefined); // without it, every word counts as known
  }, []);
  return story ? (
    <StoryPage key={story} story={story} vocabulary={vocabulary} theme={theme} />
  ) : (
    <Start vocabulary={vocabulary} theme={theme} />
  );
}
