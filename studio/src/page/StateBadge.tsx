import { isGettingReady } from "../story/readiness";
import type { OpenStory } from "../story/useStory";

const WORDS = {
  idle: "Ready",
  shooting: "Shooting",
  holding: "Holding",
  cutting: "Cutting",
  paused: "Paused",
  failed: "Halted",
} as const;

const LINK_WORDS = { connecting: "Connecting", lost: "Offline", full: "Waiting", ended: "Closed" } as const;

/** What the story does, in one word. */
export function StateBadge({ open: { state, readiness } }: { open: OpenStory }) {
  const waits = isGettingReady(readiness);
  const lost = state.link !== "open" || waits;
  const waiting = !lost && state.figures?.waiting && state.telling !== "idle" && state.telling !== "paused";
  const word = state.link === "open" ? WORDS[state.telling] : LINK_WORDS[state.link];
  const ahead = state.figures?.lookahead_seconds ?? 0;
  const playing = !lost && ahead > 0 && (state.telling === "idle" || state.telling === "paused");
  return (
    <p className="badge" data-state={lost ? "lost" : state.telling} role="status">
      <span className="dot" aria-hidden="true" />
      {waits ? "Starting" : word}
      {playing && <span className="dim"> · what is made plays on</span>}
      {waiting && <span className="dim"> · waits until you watch</span>}
    </p>
  );
}
