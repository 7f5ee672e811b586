/** What the model gets instead of what is written, before it is used. */

import type { PromptMark } from "../story/prompts";
import type { Prompts } from "../story/usePrompts";
import { Icon } from "./Icon";

interface Props {
  /** What is written, one shot. */
  text: string;
  prompts: Prompts;
  /** Whether it is being asked for now. */
  asking: boolean;
  /** How many orders wait until that is known. */
  held?: number;
}

export function Adapted({ text, prompts, asking, held = 0 }: Props) {
  const read = prompts.find(text);
  const adapted = prompts.isOn ? read?.adapted : undefined;
  const own = prompts.keepsOwn(text);
  return (
    <div className="adapted" aria-live="polite">
      {asking && (
        <p className="dim">
          Putting it into the model’s words …
          {held > 0 &&
            ` ${held === 1 ? "One order waits" : `${held} orders wait`} behind it. Enter again takes
            your own words.`}
        </p>
      )}
      {adapted && adapted.prompt !== text && (
        <p>
          <span className="dim">{own ? "In the model’s words:" : "The model gets:"}</span>{" "}
          {own ? <s>{adapted.prompt}</s> : <q>{adapted.prompt}</q>}{" "}
          <button type="button" className="link" onClick={() => prompts.keepOwn(own ? undefined : text)}>
            {own ? "Use these" : "Use my own words"}
          </button>
        </p>
      )}
      {(own ? read : (adapted ?? read))?.marks.filter(isDrift).map(({ sentence }) => (
        <p key={sentence} className="drift">
          {sentence}
        </p>
      ))}
      {adapted && !own && adapted.notes.length > 0 && <p className="dim">{adapted.notes.join(" ")}</p>}
      {prompts.problem && <p className="adapted-problem">{prompts.problem}</p>}
    </div>
  );
}

/** What the field and its label do not say already. */
const isDrift = ({ code }: PromptMark) => code === "stranger" || code === "looks" || code === "setting";

/** Turns adapting on and off. */
export function AdaptSwitch({ prompts }: { prompts: Prompts }) {
  if (!prompts.can) return null;
  return (
    <button
      type="button"
      className="quiet"
      aria-pressed={prompts.isOn}
      title="What you write is put into the words that the model was trained with; you see them first"
      onClick={prompts.turn}
    >
      <Icon name="adapt" /> Adapt
    </button>
  );
}
