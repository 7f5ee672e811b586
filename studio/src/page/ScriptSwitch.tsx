/** From one shot to a whole script and back, and scripts from files. */

import { type RefObject } from "react";
import type { PlannedShot } from "../protocol";
import { STORY_FILES, readStoryFile } from "../story/server";
import type { Draft } from "../story/useDraft";
import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";

interface Props {
  open: OpenStory;
  draft: Draft;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function ScriptSwitch({ open, draft, field }: Props) {
  const turn = () => {
    draft.setOpened(!draft.isScript);
    field.current?.focus({ preventScroll: true });
  };
  return (
    <>
      <button
        type="button"
        className="quiet"
        aria-pressed={draft.isScript}
        disabled={draft.shots.length > 1}
        title="A whole story at once: a line or paragraph for each shot"
        onClick={turn}
      >
        <Icon name="script" /> Script
      </button>
      {draft.isScript && (
        <label className="button quiet">
          <Icon name="import" /> From a file
          <input
            className="unseen"
            type="file"
            accept={STORY_FILES}
            onChange={({ target }) => {
              if (target.files?.[0]) void takeScript(target.files[0], open, draft);
              target.value = "";
            }}
          />
        </label>
      )}
    </>
  );
}

/** What a shot of a file says, without what it leaves open. */
const given = (shot: PlannedShot) =>
  Object.fromEntries(Object.entries(shot).filter(([, value]) => value !== null)) as unknown as PlannedShot;

/** Puts the shots of a file behind what is written. */
export async function takeScript(
  file: File,
  { happen, order, state, wrong }: OpenStory,
  draft: Draft,
): Promise<void> {
  try {
    const { setting, cast, shots } = await readStoryFile(file);
    draft.setShots([...draft.shots, ...shots.map(given)]);
    const known = new Set(state.cast.map(({ name }) => name.toLowerCase()));
    const others = cast.filter(({ name }) => !known.has(name.toLowerCase()));
    if (others.length > 0) order({ type: "cast", cast: [...state.cast, ...others] });
    if (setting && setting !== state.setting) {
      const text = `The script is set elsewhere (“${setting}”). This story keeps its own setting.`;
      happen({ kind: "note", tone: "plain", text });
    }
  } catch (error) {
    wrong((error as Error).message);
  }
}
