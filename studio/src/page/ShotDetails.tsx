/** What a shot that is not made yet has besides its words: length, seed, LoRAs, pictures. */

import { useState } from "react";
import type { PlannedShot, UploadedPicture } from "../protocol";
import { uploadAddress } from "../story/server";
import { PICTURE_TYPES, uploadPicture } from "../story/upload";
import { Icon } from "./Icon";
import { Still } from "./Still";
import { Wrong } from "./Wrong";

const LENGTHS_SECONDS = [2, 3, 5, 8, 12, 20, 30, 60];

/** What there is to choose from, and how much of it. */
export interface Possible {
  loras: string[];
  mostSeconds: number;
  mostBytes: number;
}

interface Props {
  shot: PlannedShot;
  possible: Possible;
  onChange(shot: PlannedShot): void;
}

export function ShotDetails({ shot, possible, onChange }: Props) {
  return (
    <div className="shot-details">
      <Length
        seconds={shot.seconds ?? undefined}
        most={possible.mostSeconds}
        onChange={(seconds) => onChange(without({ ...shot, seconds }, "chunks"))}
      />
      <SeedInput
        seed={shot.seed ?? undefined}
        onChange={(seed) => onChange(seed === undefined ? without(shot, "seed") : { ...shot, seed })}
      />
      {possible.loras.length > 0 && (
        <Loras
          names={possible.loras}
          chosen={shot.lora ?? undefined}
          onChange={(lora) => onChange(lora ? { ...shot, lora } : without(shot, "lora"))}
        />
      )}
      <Pictures
        chosen={shot.references ?? []}
        mostBytes={possible.mostBytes}
        onChange={(references) =>
          onChange(references.length > 0 ? { ...shot, references } : without(shot, "references"))
        }
      />
    </div>
  );
}

function without(shot: PlannedShot, field: "chunks" | "seed" | "lora" | "references"): PlannedShot {
  const { [field]: _, ...others } = shot;
  return others;
}

/** How long a shot gets; nothing is as long as the model learnt. */
export function Length(props: { seconds?: number; most: number; onChange(seconds?: number): void }) {
  const { seconds, most } = props;
  const offered = LENGTHS_SECONDS.filter((length) => length <= most);
  if (seconds !== undefined && !offered.includes(seconds)) offered.push(seconds);
  return (
    <label className="inline">
      Length
      <select
        value={seconds ?? ""}
        onChange={(event) => props.onChange(Number(event.target.value) || undefined)}
      >
        <option value="">as learnt</option>
        {offered
          .sort((one, other) => one - other)
          .map((length) => (
            <option key={length} value={length}>
              {Number(length.toFixed(1))} s
            </option>
          ))}
      </select>
    </label>
  );
}

interface LorasProps {
  names: string[];
  /** `NAME` or `NAME:SCALE` each; those of the model if nothing is. */
  chosen?: string[];
  onChange(chosen?: string[]): void;
}

function Loras({ names, chosen, onChange }: LorasProps) {
  const scales = new Map((chosen ?? []).map(scaleOf));
  const set = (name: string, scale?: number) => {
    const all = new Map(scales);
    if (scale === undefined) all.delete(name);
    else all.set(name, scale);
    onChange([...all].map(([known, strength]) => `${known}:${strength}`));
  };
  return (
    <fieldset className="loras">
      <legend>LoRAs</legend>
      <label className="inline">
        <input
          type="checkbox"
          checked={chosen === undefined}
          onChange={({ target }) => onChange(target.checked ? undefined : [])}
        />
        as the model has them
      </label>
      {chosen !== undefined &&
        names.map((name) => (
          <span key={name} className="row">
            <label className="inline">
              <input
                type="checkbox"
                checked={scales.has(name)}
                onChange={({ target }) => set(name, target.checked ? 1 : undefined)}
              />
              {name}
            </label>
            {scales.has(name) && (
              <input
                type="number"
                step={0.1}
                aria-label={`Strength of ${name}`}
                value={scales.get(name)}
                onChange={({ target }) => target.value && set(name, Number(target.value))}
              />
            )}
          </span>
        ))}
    </fieldset>
  );
}

const scaleOf = (choice: string): [string, number] => {
  const [name, scale] = choice.split(":");
  return [name!, scale === undefined ? 1 : Number(scale)];
};

interface PicturesProps {
  chosen: UploadedPicture[];
  mostBytes: number;
  onChange(chosen: UploadedPicture[]): void;
}

function Pictures({ chosen, mostBytes, onChange }: PicturesProps) {
  const [sent, setSent] = useState<number>();
  const [wrong, setWrong] = useState<Error>();
  const send = async (picture: File) => {
    setWrong(undefined);
    setSent(0);
    try {
      onChange([...chosen, { upload: await uploadPicture(picture, mostBytes, setSent) }]);
    } catch (error) {
      setWrong(error as Error);
    }
    setSent(undefined);
  };
  return (
    <div className="shot-pictures">
      {chosen.map(({ upload }, place) => (
        <span key={place} className="shot-picture">
          <Still src={uploadAddress(upload)} alt={`Picture ${place + 1} of this shot`} />
          <button
            type="button"
            className="round small"
            aria-label={`Take picture ${place + 1} off this shot`}
            title="Take it off"
            onClick={() => onChange(chosen.toSpliced(place, 1))}
          >
            <Icon name="close" />
          </button>
        </span>
      ))}
      <label
        className="button quiet"
        title="The shot, and those after it, are made from this picture, too"
        aria-disabled={sent !== undefined || undefined}
      >
        <Icon name="picture" /> {sent === undefined ? "Add a picture" : "Sending …"}
        <input
          className="unseen"
          type="file"
          accept={PICTURE_TYPES.join()}
          disabled={sent !== undefined}
          onChange={({ target }) => {
            if (target.files?.[0]) void send(target.files[0]);
            target.value = "";
          }}
        />
      </label>
      <Wrong error={wrong} />
    </div>
  );
}

/** LoRAs that are not those of the model, as a card names them. */
export const namesOf = (lora: string[]) => (lora.length > 0 ? lora.join(", ") : "no LoRA");

/** What a card says of it: nothing where all is as learnt. */
export function detailsOf({ seconds, seed, lora, references }: PlannedShot, storySeed: number): string {
  const pictures = references?.length ?? 0;
  return [
    seconds && `${seconds.toFixed(1)} s`,
    typeof seed === "number" && seed !== storySeed && `seed ${seed}`,
    lora && namesOf(lora),
    pictures > 0 && (pictures === 1 ? "1 picture" : `${pictures} pictures`),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** A seed of a shot's own; none if the field is empty. */
export function SeedInput(props: { seed?: number; autoFocus?: boolean; onChange(seed?: number): void }) {
  const { seed, autoFocus, onChange } = props;
  return (
    <label className="inline">
      Seed
      <input
        type="number"
        min={0}
        max={Number.MAX_SAFE_INTEGER}
        step={1}
        value={seed ?? ""}
        placeholder="the story’s"
        autoFocus={autoFocus}
        onChange={({ target }) =>
          onChange(target.validity.valid && target.value ? Number(target.value) : undefined)
        }
      />
    </label>
  );
}
