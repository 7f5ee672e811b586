/** Showing the story to others: a link for people who may watch it and do nothing else. */

import { useEffect, useState } from "react";
import { type WatchLinks, readViewers, readWatchLinks } from "../story/server";
import { Menu } from "./Menu";

const COUNT_EVERY_MS = 5000;

export function Watch({ story }: { story: string }) {
  return (
    <Menu icon="share" label="Show the story to others">
      {() => <WatchLink story={story} />}
    </Menu>
  );
}

/** The link to the film, and how many watch the story. */
function WatchLink({ story }: { story: string }) {
  const [links, setLinks] = useState<WatchLinks>();
  const [problem, setProblem] = useState("");
  const [copied, setCopied] = useState(false);
  const viewers = useViewers(story);
  useEffect(() => {
    readWatchLinks(story).then(setLinks, (wrong: Error) => setProblem(wrong.message));
  }, [story]);
  const address = links ? new URL(links.film, document.baseURI).href : "";
  const copy = () =>
    navigator.clipboard?.writeText(address).then(
      () => setCopied(true),
      () => setProblem("The browser did not let the page copy it: copy it by hand."),
    );
  return (
    <>
      <p className="menu-note" role="status">
        {viewers !== undefined && (viewers === 1 ? "Only you watch it now." : `${viewers} watch it now.`)}
      </p>
      {links && (
        <>
          <label className="menu-note">
            Link to the film as it is by now. Who has it can change nothing.
            <input readOnly value={address} onFocus={(event) => event.target.select()} />
          </label>
          {navigator.clipboard && (
            <button type="button" onClick={() => void copy()}>
              {copied ? "Copied" : "Copy the link"}
            </button>
          )}
        </>
      )}
      {problem && (
        <p className="menu-note" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}

/** How many watch a story; not known at first. */
function useViewers(story: string): number | undefined {
  const [viewers, setViewers] = useState<number>();
  useEffect(() => {
    const count = () => readViewers(story).then(setViewers, () => undefined); // the page says elsewhere what is wrong
    void count();
    const timer = setInterval(() => void count(), COUNT_EVERY_MS);
    return () => clearInterval(timer);
  }, [story]);
  return viewers;
}
