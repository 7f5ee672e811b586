/** What the model remembers right now. */

import { useState } from "react";
import type { MemoryFrame, Memory as MemoryState } from "../protocol";
import { numberOf } from "../story/numbers";
import { memoryAddress } from "../story/server";
import { PICTURE_TYPES, uploadPicture } from "../story/upload";
import type { OpenStory } from "../story/useStory";
import { Attention } from "./Attention";
import { FileDrop } from "./FileDrop";
import { Icon } from "./Icon";
import { Still } from "./Still";
import { Wrong } from "./Wrong";

const SOURCES = { rule: "chosen", pin: "pinned", reference: "reference" } as const;

export function Memory({ open }: { open: OpenStory }) {
  const { memory } = open.state;
  const { sent, wrong, send } = useReference(open);
  const busy = sent !== undefined;
  return (
    <section className="panel memory" aria-labelledby="memory">
      <h2 id="memory">Memory</h2>
      <FileDrop
        icon="picture"
        words={busy ? "Sending …" : "Add a picture"}
        accept={PICTURE_TYPES.join()}
        busy={busy}
        onFile={send}
      >
        {memory && memory.frames.length > 0 ? (
          <ul className="memory-strip">
            {memory.frames.map((frame, place) => (
              <Remembered key={place} frame={frame} open={open} />
            ))}
          </ul>
        ) : (
          <p className="dim">
            After the first cut, the frames that the next shot is made from stand here. A picture of yours can
            be one of them: add it, or drop it here.
          </p>
        )}
        {busy && <progress value={sent} aria-label="The picture is sent" />}
        <Wrong error={wrong} />
      </FileDrop>
      <Attention open={open} />
    </section>
  );
}

/** How full the caches are. */
export function Gauges({ memory }: { memory: MemoryState }) {
  if (memory.global_size === 0) return null;
  return (
    <div className="gauges">
      <Gauge name="Earlier shots" used={memory.global_used} size={memory.global_size} />
      <Gauge name="This shot" used={memory.local_used} size={memory.local_size} />
    </div>
  );
}

/** Sends a picture and has it remembered. */
function useReference({ state, order }: OpenStory) {
  /** The share that is sent, while a picture is. */
  const [sent, setSent] = useState<number>();
  const [wrong, setWrong] = useState<Error>();
  const send = async (picture: File) => {
    setWrong(undefined);
    setSent(0);
    try {
      const upload = await uploadPicture(picture, state.stage?.limits.upload_bytes ?? Infinity, setSent);
      order({ type: "reference", upload });
    } catch (error) {
      setWrong(error as Error);
    }
    setSent(undefined);
  };
  return { sent, wrong, send };
}

function Remembered({ frame: remembered, open }: { frame: MemoryFrame; open: OpenStory }) {
  const { shot, frame, source, why } = remembered;
  const { order, story } = open;
  const number = numberOf(open.state.shots, shot);
  const where = source === "reference" ? "A picture of yours" : `Shot ${number}, frame ${frame + 1}`;
  const reason = why ? `: ${why}` : "";
  return (
    <li className="remembered" data-source={source} title={`${where}, ${SOURCES[source]}${reason}`}>
      <Still src={memoryAddress(story, remembered)} alt={`${where}, ${SOURCES[source]}${reason}`} />
      <span className="remembered-where">
        {source === "reference" ? "yours" : `${number} · ${frame + 1}`}
      </span>
      {source === "rule" ? (
        <button
          type="button"
          className="quiet round small"
          aria-label={`Pin: ${where}`}
          title="Pin"
          onClick={() => order({ type: "pin", shot, frame })}
        >
          <Icon name="pin" />
        </button>
      ) : (
        <button
          type="button"
          className="quiet round small"
          aria-label={`Let go: ${where}`}
          title="Let go"
          onClick={() => order({ type: "unpin", shot, frame })}
        >
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

function Gauge({ name, used, size }: { name: string; used: number; size: number }) {
  return (
    <label className="gauge">
      <span>{name}</span>
      <span className="dim">
        {used} of {size} frames
      </span>
      <meter min={0} max={size} value={used} />
    </label>
  );
}
