/** Who is called by name in the story: what they look like, in words and pictures. */

import { type FormEvent, useEffect, useRef, useState } from "react";
import { type Adapted, readPrompts } from "../story/prompts";
import type { Character } from "../story/state";
import { stillAddress, uploadAddress } from "../story/server";
import { PICTURE_TYPES, uploadPicture } from "../story/upload";
import type { OpenStory } from "../story/useStory";
import { FileDrop } from "./FileDrop";
import { Icon } from "./Icon";
import { CardButton } from "./Planned";
import { Still } from "./Still";
import { Wrong } from "./Wrong";

const NOBODY: Character = { name: "", description: "", pictures: [] };

export function CastSheet({ open }: { open: OpenStory }) {
  const { state, order } = open;
  const { cast } = state;
  const [editing, setEditing] = useState<number>();
  const add = useRef<HTMLButtonElement>(null);
  const close = () => {
    setEditing(undefined);
    add.current?.focus();
  };
  const keep = (place: number, character: Character) => {
    const former = cast[place]?.pictures ?? [];
    for (const upload of character.pictures.filter((one) => !former.includes(one)))
      order({ type: "reference", upload, prompt: character.description || character.name });
    letGo(former.filter((one) => !character.pictures.includes(one)));
    order({ type: "cast", cast: place < cast.length ? cast.with(place, character) : [...cast, character] });
    close();
  };
  const remove = (place: number) => {
    letGo(cast[place]!.pictures);
    order({ type: "cast", cast: cast.toSpliced(place, 1) });
    add.current?.focus();
  };
  const letGo = (uploads: string[]) => {
    for (const { upload, shot, frame } of state.memory?.frames ?? [])
      if (upload && uploads.includes(upload)) order({ type: "unpin", shot, frame });
  };
  return (
    <section className="panel cast" aria-labelledby="cast">
      <div className="row">
        <h2 id="cast">Cast</h2>
        <span className="gap" />
        <button type="button" className="quiet" ref={add} onClick={() => setEditing(cast.length)}>
          <Icon name="person" /> Add somebody
        </button>
      </div>
      {cast.length === 0 && editing === undefined && (
        <p className="dim">
          Give who is in the story a name: write “Rosie runs”, and the model gets how Rosie looks.
        </p>
      )}
      <ul className="cast-list">
        {cast.map((character, place) =>
          editing === place ? null : (
            <li key={character.name} className="cast-entry">
              {character.pictures[0] && <Still src={uploadAddress(character.pictures[0])} alt="" />}
              <div className="cast-words">
                <strong>{character.name}</strong>
                <span className={character.description ? "" : "dim"}>
                  {character.description || "not described: the model knows no names"}
                </span>
              </div>
              <CardButton icon="edit" name={`Change ${character.name}`} onClick={() => setEditing(place)} />
              <CardButton
                icon="trash"
                name={`Take ${character.name} off the sheet`}
                onClick={() => remove(place)}
              />
            </li>
          ),
        )}
      </ul>
      {editing !== undefined && (
        <CharacterForm
          key={editing}
          open={open}
          former={cast[editing] ?? NOBODY}
          taken={cast.filter((_, place) => place !== editing).map(({ name }) => name.toLowerCase())}
          onDone={(character) => keep(editing, character)}
          onCancel={close}
        />
      )}
      <SettingWithCast open={open} />
    </section>
  );
}

interface FormProps {
  open: OpenStory;
  former: Character;
  taken: string[];
  onDone(character: Character): void;
  onCancel(): void;
}

function CharacterForm({ open, former, taken, onDone, onCancel }: FormProps) {
  const [character, setCharacter] = useState(former);
  const [sent, setSent] = useState<number>();
  const [wrong, setWrong] = useState<Error>();
  const { name, description, pictures } = character;
  const change = (part: Partial<Character>) => setCharacter((now) => ({ ...now, ...part }));
  const send = async (picture: File | Promise<File>) => {
    setWrong(undefined);
    setSent(0);
    try {
      const most = open.state.stage?.limits.upload_bytes ?? Infinity;
      const upload = await uploadPicture(await picture, most, setSent);
      setCharacter((now) => ({ ...now, pictures: [...new Set([...now.pictures, upload])] }));
    } catch (error) {
      setWrong(error as Error);
    }
    setSent(undefined);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!name.trim()) return setWrong(new Error("Say first what they are called."));
    if (taken.includes(name.trim().toLowerCase()))
      return setWrong(new Error(`There is a ${name.trim()} already. Give everybody a name of their own.`));
    onDone({ ...character, name: name.trim(), description: description.trim() });
  };
  const frame = open.onScreen;
  return (
    <form
      className="cast-form"
      aria-label="Somebody of the cast"
      onSubmit={submit}
      onKeyDown={(event) => event.key === "Escape" && onCancel()}
    >
      <label>
        Name
        <input
          type="text"
          value={name}
          maxLength={80}
          autoFocus
          autoComplete="off"
          onChange={({ target }) => change({ name: target.value })}
        />
      </label>
      <label>
        How they look
        <input
          type="text"
          value={description}
          maxLength={400}
          autoComplete="off"
          placeholder="a little red fox with a bow"
          onChange={({ target }) => change({ description: target.value })}
        />
      </label>
      {pictures.length > 0 && (
        <ul className="cast-pictures" aria-label="Pictures">
          {pictures.map((upload, place) => (
            <li key={upload}>
              <Still src={uploadAddress(upload)} alt={`Picture ${place + 1}`} />
              <CardButton
                icon="close"
                name={`Take picture ${place + 1} away`}
                onClick={() => change({ pictures: pictures.filter((other) => other !== upload) })}
              />
            </li>
          ))}
        </ul>
      )}
      <div className="row">
        <FileDrop
          icon="picture"
          words={sent === undefined ? "A picture" : "Sending …"}
          accept={PICTURE_TYPES.join()}
          busy={sent !== undefined}
          onFile={(picture) => void send(picture)}
        />
        <button
          type="button"
          disabled={!frame || sent !== undefined}
          onClick={() => frame && void send(frameOf(open.story, frame))}
        >
          <Icon name="pin" /> The frame on the screen
        </button>
      </div>
      <Wrong error={wrong} />
      <div className="row end">
        <span className="gap" />
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={sent !== undefined}>
          Keep
        </button>
      </div>
    </form>
  );
}

/** A frame of the story as a picture of one's own. */
async function frameOf(story: string, frame: Parameters<typeof stillAddress>[1]): Promise<File> {
  const answer = await fetch(stillAddress(story, frame));
  if (!answer.ok) throw new Error("This frame cannot be read yet. Try again in a moment.");
  const picture = await answer.blob();
  return new File([picture], `shot ${frame.shot + 1}, frame ${frame.frame + 1}`, { type: picture.type });
}

/** Before the first shot: the setting with the cast in it, as the model would be told it. */
function SettingWithCast({ open: { state, order } }: { open: OpenStory }) {
  const { setting, cast, shots } = state;
  const [adapted, setAdapted] = useState<Adapted>();
  const isOpen = state.stage !== undefined && shots.length === 0 && cast.some((one) => one.description);
  const names = JSON.stringify(cast.map(({ name, description }) => [name, description]));
  useEffect(() => {
    setAdapted(undefined);
    if (!isOpen) return;
    let over = false;
    readPrompts({ setting, cast }, [], true).then(
      (told) => !over && setAdapted(told.setting.adapted ?? undefined),
      () => undefined, // it is offered when the server answers
    );
    return () => void (over = true);
  }, [isOpen, setting, names]);
  if (!isOpen || !adapted || adapted.prompt === setting) return null;
  return (
    <p className="cast-setting">
      <span className="dim">The setting goes with every shot. With the cast in it:</span>{" "}
      <q>{adapted.prompt}</q>{" "}
      <button
        type="button"
        className="link"
        onClick={() => order({ type: "setting", setting: adapted.prompt })}
      >
        Use this setting
      </button>
      {adapted.notes.length > 0 && <span className="dim"> {adapted.notes.join(" ")}</span>}
    </p>
  );
}
