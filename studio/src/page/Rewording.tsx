/** Other words for a shot that was told: kept for later, or told at once as another take. */

import { useState } from "react";
import type { ShotCard } from "../protocol";
import { newSeed } from "../story/link";
import type { Vocabulary } from "../story/server";
import type { OpenStory } from "../story/useStory";
import { usePrompts } from "../story/usePrompts";
import { useWhenAdapted } from "../story/useWhenAdapted";
import { Adapted } from "./Adapted";
import { Icon } from "./Icon";
import { PromptEditor } from "./PromptEditor";

interface Props {
  shot: ShotCard;
  open: OpenStory;
  vocabulary?: Vocabulary;
  onDone(): void;
}

export function Rewording({ shot, open, vocabulary, onDone }: Props) {
  const { state } = open;
  const [text, setText] = useState(shot.written ?? shot.prompt);
  const prompts = usePrompts(state, vocabulary?.adapter ?? null, [text.trim()], []);
  const { asking, whenAdapted } = useWhenAdapted(open, text, prompts);
  /** Whether these are the words that the shot's prompt was adapted from, and are not adapted anew. */
  const isSame = (words: string) =>
    words === shot.written && !prompts.changed(words) && !prompts.keepsOwn(words);
  const give = (words: string, isRetake: boolean) =>
    whenAdapted([words], (order) => {
      const told = isSame(words) ? { prompt: shot.prompt, written: words } : prompts.order(words);
      onDone();
      if (isRetake) order({ type: "retake", shot: shot.number, seed: newSeed(), ...told });
      else if (told.prompt !== shot.prompt) order({ type: "edit", shot: shot.number, ...told });
    });
  return (
    <PromptEditor
      prompt={text}
      known={vocabulary?.words}
      most={state.stage?.limits.prompt_characters}
      marks={prompts.marksAsWritten([text.trim()])}
      onText={setText}
      onCancel={onDone}
      onDone={(words, how) => give(words, how === "control")}
      other={(words) =>
        shot.frames > 0 && (
          <button
            type="button"
            title="Another take of the shot, told in these words (Ctrl+Enter)"
            onClick={() => words && give(words, true)}
          >
            <Icon name="retake" /> Retake
          </button>
        )
      }
    >
      <Adapted text={text.trim()} prompts={prompts} asking={asking} held={open.held} />
    </PromptEditor>
  );
}
