/** What can be done while a shot runs. */

import type { Order } from "../story/link";
import { canGoOn, isHalted, isRunning } from "../story/state";
import type { OpenStory } from "../story/useStory";
import { Icon, type IconName } from "./Icon";

const EXTEND_SECONDS = 2;

export function Controls({ open: { state, order, onScreen } }: { open: OpenStory }) {
  const running = isRunning(state);
  const goesOn = canGoOn(state);
  const button = (name: string, icon: IconName, what: Order, key: string, able = running) => (
    <button
      type="button"
      disabled={!able || !state.stage}
      onClick={() => order(what)}
      title={key && `${name} (${key})`}
    >
      <Icon name={icon} />
      {name}
    </button>
  );
  return (
    <div className="controls" role="toolbar" aria-label="Direct the running shot">
      {button("Cut", "cut", { type: "cut" }, "C", running && state.telling !== "cutting")}
      {button("Hold", "hold", { type: "hold" }, "H", goesOn && state.telling !== "holding")}
      {button(`+${EXTEND_SECONDS} s`, "longer", { type: "extend", seconds: EXTEND_SECONDS }, "", goesOn)}
      {isHalted(state)
        ? button("Resume", "shoot", { type: "resume" }, "M", true)
        : button("Pause", "pause", { type: "pause" }, "M", running)}
      {button("Stop", "stop", { type: "stop" }, "S")}
      <span className="gap" />
      <button
        type="button"
        className="wide"
        disabled={!onScreen}
        title="Keep the frame on the screen in memory (P)"
        onClick={() => onScreen && order({ type: "pin", shot: onScreen.shot, frame: onScreen.frame })}
      >
        <Icon name="pin" />
        Remember this
      </button>
      {button("Undo", "undo", { type: "undo" }, "U", state.undoable.length > 0)}
    </div>
  );
}
