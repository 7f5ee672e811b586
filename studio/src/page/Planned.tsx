/** Shots that are not made yet, as cards: edited, deleted, doubled, skipped, and put in another order. */

import {
  type DragEvent,
  Fragment,
  type KeyboardEvent,
  type ReactNode,
  useEffect,
  useRef,
  useState,
} from "react";
import type { PlannedShot } from "../protocol";
import type { PromptMark } from "../story/prompts";
import { moved } from "../story/script";
import { Icon, type IconName } from "./Icon";
import { Marks, OwnWords } from "./Marks";
import { Menu } from "./Menu";
import { PromptEditor } from "./PromptEditor";
import { type Possible, ShotDetails, detailsOf } from "./ShotDetails";
import { BY_ARROW, CANNOT, drags, startDrag } from "./cardDrag";

interface Props {
  /** The number that people see of the first of them. */
  first: number;
  shots: PlannedShot[];
  state: "planned" | "queued";
  known?: string[] | null;
  most?: number;
  /** What of a shot does not fit. */
  marksOf?(shot: PlannedShot): PromptMark[];
  /** What the model gets instead of the words of a shot, if anything. */
  adaptedOf?(shot: PlannedShot): string | undefined;
  possible: Possible;
  storySeed: number;
  wrong(sentence: string): void;
  /** Told that the first is to stand before a told shot, if there is any before it. */
  onTold?(): void;
  onChange(shots: PlannedShot[]): void;
}

const STATE_WORDS = { planned: "Planned", queued: "Queued", skipped: "Skipped" } as const;

/** The keys of a card that has the focus; the help lists them. */
export const CARD_KEYS = [
  { key: "Alt ↑ ↓", says: "Move a shot, told or planned" },
  { key: "E", says: "Change the words, length, seed and pictures of a planned shot" },
  { key: "N", says: "Insert a new one after it" },
  { key: "D", says: "Double it" },
  { key: "S", says: "Skip it, or take it back in" },
  { key: "Delete", says: "Take it away" },
] as const;

/** A card that is changed, or a new one before the card at a place. */
type Editing = { place: number; isNew: boolean };

export function PlannedCards(props: Props) {
  const { first, shots, state, onChange } = props;
  const [editing, setEditing] = useState<Editing>();
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
    if (to < 0) return props.onTold?.();
    if (to < shots.length && to !== from) change(moved(shots, from, to), to);
  };
  const acts = (place: number): Acts => ({
    edit: () => setEditing({ place, isNew: false }),
    insert: (after) => setEditing({ place: place + (after ? 1 : 0), isNew: true }),
    double: () => change([...shots.slice(0, place + 1), ...shots.slice(place)], place + 1),
    skip: () => change(shots.with(place, turned(shots[place]!)), place),
    remove: () => change(shots.toSpliced(place, 1), place),
    move: (by) => move(place, place + by),
  });
  const dropped = (event: DragEvent, place: number) => {
    if (drags(event, "told")) {
      event.preventDefault();
      setOver(undefined);
      return props.wrong(CANNOT.told);
    }
    if (dragged.current === undefined) return;
    event.preventDefault();
    setOver(undefined);
    move(dragged.current, place);
    dragged.current = undefined;
  };
  const close = (place: number) => {
    wanted.current = place;
    setEditing(undefined);
  };
  const editor = (place: number, shot: PlannedShot, isNew: boolean) => (
    <PlannedEditor
      {...props}
      shot={shot}
      onCancel={() => close(isNew ? place - 1 : place)}
      onDone={(changed) => {
        close(place);
        if (isNew) onChange(shots.toSpliced(place, 0, changed));
        else if (JSON.stringify(changed) !== JSON.stringify(shot)) onChange(shots.with(place, changed));
      }}
    />
  );
  const empty = (place: number) =>
    editing?.isNew &&
    editing.place === place && (
      <li key="new" className="card panel" data-state={state}>
        <article aria-label="A new shot">{editor(place, { prompt: "" }, true)}</article>
      </li>
    );
  return (
    <>
      {shots.map((shot, place) => (
        <Fragment key={place}>
          {empty(place)}
          <li
            className="card panel"
            data-state={shot.skipped ? "skipped" : state}
            data-over={over === place || undefined}
            draggable={editing === undefined}
            onDragStart={(event) => {
              dragged.current = place;
              startDrag(event, "waiting", shot.prompt);
            }}
            onDragOver={(event) => {
              if (dragged.current === undefined && !drags(event, "told")) return;
              event.preventDefault();
              setOver(place);
            }}
            onDragEnd={() => ((dragged.current = undefined), setOver(undefined))}
            onDrop={(event) => dropped(event, place)}
          >
            <PlannedCard
              number={first + shots.slice(0, place).filter(({ skipped }) => !skipped).length}
              shot={shot}
              word={STATE_WORDS[shot.skipped ? "skipped" : state]}
              facts={detailsOf(shot, props.storySeed)}
              marks={props.marksOf?.(shot)}
              adapted={props.adaptedOf?.(shot)}
              acts={acts(place)}
              card={(element) => {
                if (element) cards.current.set(place, element);
                else cards.current.delete(place);
              }}
              editor={editing?.place === place && !editing.isNew && editor(place, shot, false)}
            />
          </li>
        </Fragment>
      ))}
      {empty(shots.length)}
    </>
  );
}

/** A shot that is skipped, or no longer. */
function turned({ skipped, ...shot }: PlannedShot): PlannedShot {
  return skipped ? shot : { ...shot, skipped: true };
}

interface EditorProps extends Props {
  shot: PlannedShot;
  onCancel(): void;
  onDone(shot: PlannedShot): void;
}

/** The words of a planned shot, and all else that it may have. */
function PlannedEditor({ shot, known, most, possible, onCancel, onDone }: EditorProps) {
  const [changed, setChanged] = useState(shot);
  return (
    <PromptEditor
      prompt={shot.prompt}
      known={known}
      most={most}
      onCancel={onCancel}
      onDone={(prompt) => onDone({ ...changed, prompt })}
    >
      <ShotDetails shot={changed} possible={possible} onChange={setChanged} />
    </PromptEditor>
  );
}

interface Acts {
  edit(): void;
  insert(after: boolean): void;
  double(): void;
  skip(): void;
  remove(): void;
  move(by: number): void;
}

interface CardProps {
  number: number;
  shot: PlannedShot;
  word: string;
  facts: string;
  marks?: PromptMark[];
  adapted?: string;
  acts: Acts;
  card(element: HTMLElement | null): void;
  editor: ReactNode;
}

function PlannedCard({ number, shot, word, facts, marks, adapted, acts, card, editor }: CardProps) {
  const name = shot.skipped ? `the skipped shot “${shot.prompt}”` : `shot ${number}`;
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
    <article
      aria-label={shot.skipped ? `Skipped: ${shot.prompt}` : `Shot ${number}`}
      ref={card}
      tabIndex={0}
      onKeyDown={pressed}
    >
      <div className="card-picture">
        <span className="no-picture" />
        <span className="slate">{shot.skipped ? "–" : number}</span>
        <span className="card-state">{word}</span>
        <Marks place={number} marks={marks} />
      </div>
      {editor || (
        <div className="card-body">
          <p className="card-words" title={shot.prompt}>
            {adapted ?? shot.prompt}
          </p>
          <OwnWords written={adapted ? shot.prompt : shot.written} />
          <div className="card-actions">
            <span className="card-facts dim">{facts}</span>
            <span className="card-buttons">
              <CardButton icon="up" name={`Earlier: ${name}`} onClick={() => acts.move(-1)} />
              <CardButton icon="down" name={`Later: ${name}`} onClick={() => acts.move(1)} />
              <CardButton icon="trash" name={`Take away ${name}`} onClick={acts.remove} />
              <Menu icon="more" label={`More for ${name}`}>
                {(_, choice) => (
                  <>
                    {choice("edit", "Words, length, seed, pictures", acts.edit)}
                    {choice("insert", "Insert a shot before it", () => acts.insert(false))}
                    {choice("insert", "Insert a shot after it", () => acts.insert(true))}
                    {choice("double", "Double it", acts.double)}
                    {choice("skip", shot.skipped ? "Take it back in" : "Skip it", acts.skip)}
                  </>
                )}
              </Menu>
            </span>
          </div>
        </div>
      )}
    </article>
  );
}

const BY_KEY = (acts: Acts): Record<string, (() => void) | undefined> => ({
  e: acts.edit,
  enter: acts.edit,
  n: () => acts.insert(true),
  d: acts.double,
  s: acts.skip,
  delete: acts.remove,
  backspace: acts.remove,
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
