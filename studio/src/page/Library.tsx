/** The stories that were told before. */

import { useCallback, useEffect, useRef, useState } from "react";
import {
  type StoryEntry,
  type StoryList,
  bringBack,
  duplicate,
  forget,
  listStories,
  putAway,
  stillAddress,
  titleOf,
} from "../story/server";
import { clock } from "../story/timeline";
import { forest } from "../story/tree";
import { Icon, type IconName } from "./Icon";
import { Still } from "./Still";
import { Tree } from "./Tree";
import { Wrong } from "./Wrong";

const VIEWS = { books: "Stories", tree: "Branches", away: "Put away" } as const;
type View = keyof typeof VIEWS;

export function Library() {
  const [view, setView] = useState<View>("books");
  const [stories, setStories] = useState<StoryEntry[]>();
  /** Where older ones are, if there are any. */
  const [next, setNext] = useState<string>();
  const [wrong, setWrong] = useState<Error>();
  /** The story that was put away last, until something else is done. */
  const [gone, setGone] = useState<StoryEntry>();
  const [search, setSearch] = useState("");
  const newest = useRef(0);
  const read = useCallback(() => {
    const asked = ++newest.current;
    const known = (list: StoryList) => {
      if (asked !== newest.current) return; // the answer to other words came later
      setStories(list.stories);
      setNext(list.next);
    };
    return listStories(view === "away", undefined, search.trim()).then(known, setWrong);
  }, [view, search]);
  const readOlder = () =>
    void listStories(view === "away", next).then((list) => {
      setStories((former) => withOlder(former ?? [], list.stories));
      setNext(list.next);
    }, setWrong);
  useEffect(() => void read(), [read]);
  const change = (asked: Promise<unknown>, goes?: StoryEntry) => {
    setWrong(undefined);
    asked.then(() => setGone(goes), setWrong).then(read);
  };
  const look = (next: View) => {
    if (next === view) return;
    setGone(undefined);
    setStories(undefined);
    setView(next);
  };
  return (
    <section className="shelf" aria-labelledby="library">
      <div className="row">
        <h2 id="library">Your stories</h2>
        <input
          type="search"
          className="search"
          aria-label="Search stories"
          placeholder="Search title, setting, prompt"
          maxLength={200}
          value={search}
          onChange={({ target }) => setSearch(target.value)}
        />
        <Views view={view} onChange={look} />
      </div>
      <Wrong error={wrong} />
      <p className="undo" role="status">
        {gone && (
          <span className="notice">
            “{titleOf(gone)}” is put away.
            <button type="button" className="link" onClick={() => change(bringBack(gone.story))}>
              Undo
            </button>
          </span>
        )}
      </p>
      {stories?.length === 0 && (
        <p className="dim">
          {search.trim()
            ? "No story has all these words."
            : view === "away"
              ? "Nothing is put away."
              : "Nothing is told yet: begin above."}
        </p>
      )}
      {stories && view === "tree" && <Trees stories={stories} />}
      {stories && view !== "tree" && (
        <ul className="books">
          {stories.map((entry) => (
            <li key={entry.story} className="panel book">
              <Cover entry={entry} opens={view === "books"} />
              {view === "books" ? (
                <div className="book-acts">
                  <BookButton
                    icon="double"
                    name="Duplicate"
                    entry={entry}
                    onClick={() => change(duplicate(entry.story))}
                  />
                  <BookButton
                    icon="trash"
                    name="Put away"
                    entry={entry}
                    onClick={() => change(putAway(entry.story), entry)}
                  />
                </div>
              ) : (
                <Away
                  entry={entry}
                  onBack={() => change(bringBack(entry.story))}
                  onForget={() => change(forget(entry.story))}
                />
              )}
            </li>
          ))}
        </ul>
      )}
      {stories && next && (
        <button type="button" onClick={readOlder}>
          Show older ones
        </button>
      )}
    </section>
  );
}

/** A story that changed in between is listed once. */
function withOlder(former: StoryEntry[], older: StoryEntry[]): StoryEntry[] {
  const known = new Set(former.map(({ story }) => story));
  return [...former, ...older.filter(({ story }) => !known.has(story))];
}

function Views({ view, onChange }: { view: View; onChange(view: View): void }) {
  return (
    <div className="views" role="group" aria-label="Show">
      {(Object.keys(VIEWS) as View[]).map((name) => (
        <button key={name} type="button" aria-pressed={name === view} onClick={() => onChange(name)}>
          {VIEWS[name]}
        </button>
      ))}
    </div>
  );
}

function Trees({ stories }: { stories: StoryEntry[] }) {
  return forest(stories).map((tree) => (
    <div key={tree.entry.story} className="panel branches">
      <Tree tree={tree} label={`“${titleOf(tree.entry)}” and its branches`} />
    </div>
  ));
}

function Cover({ entry, opens }: { entry: StoryEntry; opens: boolean }) {
  const { story, cover, shots, seconds, parent } = entry;
  const facts = `${shots === 1 ? "1 shot" : `${shots} shots`} · ${when(entry.changed_seconds)}`;
  const inside = (
    <>
      <span className="book-cover">
        <Still src={cover ? stillAddress(story, cover) : undefined} />
        {shots > 0 && <span className="book-length">{clock(seconds)}</span>}
      </span>
      <span className="book-setting">{titleOf(entry)}</span>
      <span className="dim">
        {facts}
        {parent && " · a branch"}
      </span>
    </>
  );
  return opens ? <a href={`#/${story}`}>{inside}</a> : <div>{inside}</div>;
}

interface BookButtonProps {
  icon: IconName;
  name: string;
  entry: StoryEntry;
  onClick(): void;
}

function BookButton({ icon, name, entry, onClick }: BookButtonProps) {
  return (
    <button
      type="button"
      className="round small"
      aria-label={`${name}: ${titleOf(entry)}`}
      title={name}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

/** The day of a change, and its time if that was today. */
function when(seconds: number): string {
  const moment = new Date(seconds * 1000);
  const isToday = moment.toDateString() === new Date().toDateString();
  return isToday
    ? `today, ${moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}`
    : moment.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

function Away({ entry, onBack, onForget }: { entry: StoryEntry; onBack(): void; onForget(): void }) {
  const [sure, setSure] = useState(false);
  return (
    <div className="row">
      <button type="button" onClick={onBack} aria-label={`Bring back: ${titleOf(entry)}`}>
        Bring back
      </button>
      <button
        type="button"
        className="quiet"
        onClick={() => (sure ? onForget() : setSure(true))}
        onBlur={() => setSure(false)}
        aria-label={`${sure ? "Really delete for good" : "Delete for good"}: ${titleOf(entry)}`}
      >
        {sure ? "Really?" : "Delete for good"}
      </button>
    </div>
  );
}
