/** What became of commands, and what stands in the way. */

import { type ReactNode, useEffect } from "react";
import { type Readiness, SENTENCES, TRIES_AGAIN, isGettingReady, isUnready } from "../story/readiness";
import type { Notice } from "../story/state";
import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";

const PASSES_AFTER_MS = 6000;
const UNDO_PASSES_AFTER_MS = 20_000;

/** What stays until it is over: no server, no such story, a failure. */
export function Obstacles({ open: { state, readiness, retry, order } }: { open: OpenStory }) {
  const waiting = state.unanswered.length;
  const lost = state.link === "lost";
  return (
    <div className="obstacles" role="alert">
      {(lost || isUnready(readiness)) && (
        <Unready readiness={readiness}>
          {" What you type stays here"}
          {waiting > 0 && `, and ${waiting === 1 ? "one order waits" : `${waiting} orders wait`}`}.
          {lost && (
            <button type="button" className="link" onClick={retry}>
              Try now
            </button>
          )}
        </Unready>
      )}
      {state.link === "full" && (
        <p className="notice">
          {state.linkReason} {TRIES_AGAIN}
          <button type="button" className="link" onClick={retry}>
            Try now
          </button>
        </p>
      )}
      {state.link === "ended" && (
        <p className="notice wrong-tone">
          {state.linkReason ?? "This story cannot be opened."}
          <button type="button" className="link" onClick={retry}>
            Try again
          </button>
          <a href="./">Go to all stories</a>
        </p>
      )}
      {state.telling === "failed" && (
        <p className="notice wrong-tone">
          {state.reason ?? "Something went wrong while the shot was made."}
          <button type="button" className="link" onClick={() => order({ type: "resume" })}>
            Try again
          </button>
        </p>
      )}
    </div>
  );
}

/** Why no pictures can be made now. */
export function Unready({ readiness, children }: { readiness?: Readiness; children?: ReactNode }) {
  const sentence = isUnready(readiness) ? SENTENCES[readiness] : `The connection is lost. ${TRIES_AGAIN}`;
  return (
    <p className={`notice ${isGettingReady(readiness) ? "" : "wrong-tone"}`}>
      {sentence}
      {children}
    </p>
  );
}

/** What became of commands; good news passes by itself. */
export function Notices({ open: { state, happen, order } }: { open: OpenStory }) {
  return (
    <div className="notices" aria-live="polite">
      {state.notices.map((notice) => (
        <Toast
          key={notice.number}
          notice={notice}
          onGone={() => happen({ kind: "dismissed", notice: notice.number })}
          onUndo={() => order({ type: "undo" })}
        />
      ))}
    </div>
  );
}

function Toast({ notice, onGone, onUndo }: { notice: Notice; onGone(): void; onUndo(): void }) {
  const { tone, text, story, undo } = notice;
  const passes = tone === "plain" && !story;
  useEffect(() => {
    if (!passes) return;
    const timer = setTimeout(onGone, undo ? UNDO_PASSES_AFTER_MS : PASSES_AFTER_MS);
    return () => clearTimeout(timer);
    // Only when it appears: a new `onGone` is the same wish.
  }, [passes]);
  return (
    <p className={`notice ${tone === "wrong" ? "wrong-tone" : ""}`}>
      {text}
      {story && <a href={`#/${story}`}>Open it</a>}
      {undo && (
        <button type="button" className="link" onClick={() => (onGone(), onUndo())}>
          Undo
        </button>
      )}
      <button type="button" className="quiet round small" aria-label="Dismiss" onClick={onGone}>
        <Icon name="close" />
      </button>
    </p>
  );
}
