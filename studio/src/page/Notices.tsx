/** What became of commands, and what stands in the way. */

import type { OpenStory } from "../story/useStory";
import { Icon } from "./Icon";

export function Notices({ open: { state, happen, retry, order } }: { open: OpenStory }) {
  const waiting = state.unanswered.length;
  return (
    <div className="notices" aria-live="polite">
      {state.link === "lost" && (
        <p className="notice wrong-tone">
          The server does not answer. Nothing is lost: what you type stays here
          {waiting > 0 && `, and ${waiting === 1 ? "one order is" : `${waiting} orders are`} sent when it is back`}.
          <button type="button" className="link" onClick={retry}>
            Try now
          </button>
        </p>
      )}
      {state.link === "ended" && (
        <p className="notice wrong-tone">
          This story cannot be opened. <a href="#/">Go to all stories</a>
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
      {state.notices.map(({ number, tone, text, story }) => (
        <p key={number} className={`notice ${tone === "wrong" ? "wrong-tone" : ""}`}>
          {text}
          {story && <a href={`#/${story}`}>Open it</a>}
          <button
            type="button"
            className="quiet round small"
            aria-label="Dismiss"
            onClick={() => happen({ kind: "dismissed", notice: number })}
          >
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}
