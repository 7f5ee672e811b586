/** How well the take that stands goes on with its story: one sign, with its reasons. */

import type { ShotCard } from "../protocol";
import { Icon } from "./Icon";

type Measured = NonNullable<ShotCard["continuity"]>[number];

/** Scores from here on count as kept; below the other, much is lost. */
const KEPT = 0.9;
const LOST = 0.75;

/** What was measured of a take; nothing where that is not done. */
export const measuredOf = (shot: ShotCard, take: number): Measured | undefined =>
  shot.continuity?.find((one) => one.take === take);

export const levelOf = ({ score }: Measured) => (score >= KEPT ? "kept" : score >= LOST ? "partly" : "lost");

const WORDS = { kept: "Goes on well", partly: "Goes on with changes", lost: "Much is lost" } as const;

const percentOf = ({ score }: Measured) => `${Math.floor(score * 100)} %`;

const reasonsOf = ({ reasons, not_measured }: Measured) => [...reasons, ...(not_measured ?? [])];

/** The take that goes on best with the story, the earliest of several; nothing where fewer than two are measured. */
export function bestOf({ continuity }: ShotCard): number | undefined {
  if (continuity.length < 2) return undefined;
  const most = Math.max(...continuity.map(({ score }) => score));
  return Math.min(...continuity.filter(({ score }) => score === most).map(({ take }) => take));
}

/** How well one take goes on with the story, with its reasons in words. */
export function TakeContinuity({ shot, take }: { shot: ShotCard; take: number }) {
  const measured = measuredOf(shot, take);
  if (!measured) return <small className="dim">Not measured</small>;
  const level = levelOf(measured);
  return (
    <span className="take-continuity">
      <span className="continuity" data-level={level}>
        <Icon name={level === "kept" ? "kept" : "lost"} /> {percentOf(measured)}
      </span>
      <small>{WORDS[level]}</small>
      {reasonsOf(measured).map((reason) => (
        <small key={reason} className="dim">
          {reason}
        </small>
      ))}
    </span>
  );
}

export function Continuity({ shot, place }: { shot: ShotCard; place: number }) {
  const measured = measuredOf(shot, shot.take);
  if (!measured) return null;
  const level = levelOf(measured);
  const percent = percentOf(measured);
  const said = [`${WORDS[level]} (continuity ${percent})`, ...reasonsOf(measured)];
  return (
    <span
      className="continuity"
      data-level={level}
      role="img"
      tabIndex={0}
      title={said.join("\n")}
      aria-label={`Shot ${place}. ${said.join(". ").replaceAll("..", ".")}`}
    >
      <Icon name={level === "kept" ? "kept" : "lost"} />
      {level !== "kept" && percent}
    </span>
  );
}
