/** What the model remembers right now. */

import { type ChangeEvent, useState } from "react";
import type { MemoryFrame } from "../protocol";
import { uploadPicture } from "../story/server";
import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";

const SOURCES = { rule: "chosen", pin: "pinned", reference: "reference" } as const;

export function Memory({ open }: { open: OpenStory }) {
  const { state, order, happen } = open;
  const { memory } = state;
  const [busy, setBusy] = useState(false);
  const chosen = async (event: ChangeEvent<HTMLInputElement>) => {
    const picture = event.target.files?.[0];
    event.target.value = "";
    if (!picture) return;
    setBusy(true);
    try {
      order({ type: "reference", upload: await uploadPicture(picture) });
    } catch (error) {
      happen({ kind: "note", tone: "wrong", text: (error as Error).message });
    }
    setBusy(false);
  };
  return (
    <section className="panel memory" aria-labelledby="memory">
      <h2 id="memory">Memory</h2>
      {memory && memory.frames.length > 0 ? (
        <ul className="memory-strip">
          {memory.frames.map((frame) => (
            <Remembered key={`${frame.shot}/${frame.frame}/${frame.source}`} frame={frame} open={open} />
          ))}
        </ul>
      ) : (
        <p className="dim">After the first cut, the frames that the next shot is made from stand here.</p>
      )}
      <label className="button">
        <Icon name="picture" /> {busy ? "Sending …" : "Add a picture"}
        <input
          className="unseen"
          type="file"
          accept="image/png,image/jpeg,image/webp"
          onChange={chosen}
          disabled={busy}
        />
      </label>
      {memory && memory.global_size > 0 && (
        <div className="gauges">
          <Gauge name="Earlier shots" used={memory.global_used} size={memory.global_size} />
          <Gauge name="This shot" used={memory.local_used} size={memory.local_size} />
        </div>
      )}
    </section>
  );
}

function Remembered({
  frame: { shot, frame, source, thumbnail },
  open: { order },
}: {
  frame: MemoryFrame;
  open: OpenStory;
}) {
  const where = source === "reference" ? "A picture of yours" : `Shot ${shot + 1}, frame ${frame + 1}`;
  return (
    <li className="remembered" data-source={source}>
      <img src={thumbnail} alt={`${where}, ${SOURCES[source]}`} />
      <span className="remembered-where">
        {source === "reference" ? "yours" : `${shot + 1} · ${frame + 1}`}
      </span>
      {source === "rule" ? (
        <button
          type="button"
          className="round small"
          aria-label={`Pin: ${where}`}
          title="Pin"
          onClick={() => order({ type: "pin", shot, frame })}
        >
          <Icon name="pin" />
        </button>
      ) : (
        <button
          type="button"
          className="round small"
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
