/** What of a shot does not fit its story or the model, as one sign; and the person's own words. */

import type { PromptMark } from "../story/prompts";
import { Icon } from "./Icon";

export function Marks({ place, marks }: { place: number; marks?: PromptMark[] }) {
  if (!marks || marks.length === 0) return null;
  const said = marks.map(({ sentence }) => sentence);
  return (
    <span
      className="marks"
      role="img"
      tabIndex={0}
      title={said.join("\n")}
      aria-label={`Words of shot ${place}: ${said.join(" ")}`}
    >
      <Icon name="words" />
    </span>
  );
}

/** What a prompt was adapted from. */
export function OwnWords({ written }: { written?: string | null }) {
  if (!written) return null;
  return (
    <p className="own-words dim" title={written}>
      you wrote: {written}
    </p>
  );
}
