/** Shots that are not made yet, as cards: edited, deleted, doubled, and put in another order. */

import { type DragEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { PlannedShot } from "../protocol";
import type { PromptMark } from "../story/prompts";
import { moved } from "../story/script";
import { Icon, type IconName } from "./Icon";
import { Marks, OwnWords } from "./Marks";
import { Menu } from "./Menu";
import { PromptEditor } from "./PromptEditor";

interface Props {
  /** Their number in the story, counted from 0, is `first` and up. */
  first: number;
  shots: PlannedShot[];
  state: "planned" | "queued";
  known?: string[] | null;
  most?: number;
  /** What of a shot does not fit. */
  marksOf?(shot: PlannedShot): PromptMark[];
  /** What the model gets instead of the words of a shot, if anything. */
  adaptedOf?(shot: PlannedShot): string | undefined;
  onChange(shots: PlannedShot[]): void;
}

const STATE_WORDS = { planned: "Planned", queued: "Queued" } as const;

/** The keys of a card that has the focus; the help lists them. */
export const CARD_KEYS = [
  { key: "Alt ↑ ↓", says: "Move a planned shot" },
  { key: "E", says: "Change its words" },
  { key: "D", says: "Double it" },
  { key: "Delete", says: "Take it away" },
] as const;

const BY_ARROW: Record<string, number> = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 };

export function PlannedCards(props: Props) {
  const { first, shots, state, known, most, marksOf, adaptedOf, onChange } = props;
  const [editing, setEditing] = useState<number>();
  const [over, setOver] = useState<number>();
  const dragged = useRef<number>(undefined);
  const wanted = useRef<number>(undefined);
  const cards = useRef(new Map<number, HTMLElement>());
  useEffect(() => {
    if (wanted.current === undefined) return;
    cards.current.get(Math.min(wanted.current, shots.length - 1))?.focus();
    wanted.current = undefined;
  }, [shots, editing]);

  const change = (next: PlannedShot[], focus: number) => {
    wanted.current = focus;
    onChange(next);
  };
  const move = (from: number, to: number) => {
    if (to >= 0 && to < shots.length && to !== from) change(moved(shots, from, to), to);
  };
  const acts = (place: number) => ({
    edit: () => setEditing(place),
    double: () => change([...shots.slice(0, place + 1), ...shots.slice(place)], place + 1),
    remove: () => change(shots.toSpliced(place, 1), place),
    move: (by: number) => move(place, place + by),
  });
  const dropped = (event: DragEvent, place: number) => {
    if (dragged.current === undefined) return;
    event.preventDefault();
    setOver(undefined);
    move(dragged.current, place);
    dragged.current = undefined;
  };
  return shots.map((shot, place) => (
    <li
      key={place}
      className="card panel"
      data-state={state}
      data-over={over === place || undefined}
      draggable={editing === undefined}
      onDragStart={(event) => {
        dragged.current = place;
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", shot.prompt);
      }}
      onDragOver={(event) => {
        if (dragged.current === undefined) return;
        event.preventDefault();
        setOver(place);
      }}
      onDragEnd={() => ((dragged.current = undefined), setOver(undefined))}
      onDrop={(event) => dropped(event, place)}
    >
      <PlannedCard
        number={first + place}
        shot={shot}
        word={STATE_WORDS[state]}
        marks={marksOf?.(shot)}
        adapted={adaptedOf?.(shot) ?? undefined}
        acts={acts(place)}
        card={(element) => {
          if (element) cards.current.set(place, element);
          else cards.current.delete(place);
        }}
        editor={
          editing === place && (
            <PromptEditor
              prompt={shot.prompt}
              known={known}
              most={most}
              onCancel={() => ((wanted.current = place), setEditing(undefined))}
              onDone={(prompt) => {
                setEditing(undefined);
                wanted.current = place;
                if (prompt !== shot.prompt) onChange(shots.with(place, { ...shot, prompt }));
              }}
            />
          )
        }
      />
    </li>
  ));
}

interface CardProps {
  number: number;
  shot: PlannedShot;
  word: string;
  marks?: PromptMark[];
  adapted?: string;
  acts: { edit(): void; double(): void; remove(): void; move(by: number): void };
  card(element: HTMLElement | null): void;
  editor: React.ReactNode;
}

function PlannedCard({ number, shot, word, marks, adapted, acts, card, editor }: CardProps) {
  const name = `shot ${number + 1}`;
  const pressed = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey) return;
    const by = event.altKey ? BY_ARROW[event.key] : undefined;
    const act = by ? () => acts.move(by) : event.altKey ? undefined : BY_KEY(acts)[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // not a key of the page
    act();
  };
  return (
    <article aria-label={`Shot ${number + 1}`} ref={card} tabIndex={0} onKeyDown={pressed}>
      <div className="card-picture">
        <span className="no-picture" />
        <span className="slate">{number + 1}</span>
        <span className="card-state">{word}</span>
        <Marks number={number} marks={marks} />
      </div>
      {editor || (
        <div className="card-body">
          <p className="card-words" title={shot.prompt}>
            {adapted ?? shot.prompt}
          </p>
          <OwnWords written={adapted ? shot.prompt : shot.written} />
          <div className="card-actions">
            {shot.seconds && <span className="card-facts dim">{shot.seconds.toFixed(1)} s</span>}
            <span className="gap" />
            <CardButton icon="up" name={`Earlier: ${name}`} onClick={() => acts.move(-1)} />
            <CardButton icon="down" name={`Later: ${name}`} onClick={() => acts.move(1)} />
            <CardButton icon="trash" name={`Take away ${name}`} onClick={acts.remove} />
            <Menu icon="more" label={`More for ${name}`}>
              {(close) => (
                <>
                  <button type="button" onClick={() => (close(), acts.edit())}>
                    <Icon name="edit" /> Change the words
                  </button>
                  <button type="button" onClick={() => (close(), acts.double())}>
                    <Icon name="double" /> Double it
                  </button>
                </>
              )}
            </Menu>
          </div>
        </div>
      )}
    </article>
  );
}

const BY_KEY = ({ edit, double, remove }: CardProps["acts"]): Record<string, (() => void) | undefined> => ({
  e: edit,
  enter: edit,
  d: double,
  delete: remove,
  backspace: remove,
});

/** An action of a card, by its picture alone. */
export function CardButton(props: { icon: IconName; name: string; disabled?: boolean; onClick(): void }) {
  const { icon, name, disabled, onClick } = props;
  return (
    <button
      type="button"
      className="quiet round small"
      aria-label={name}
      title={name}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
