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

export function Continuity({ shot }: { shot: ShotCard }) {
  const measured = measuredOf(shot, shot.take);
  if (!measured || shot.state === "deleted") return null;
  const level = levelOf(measured);
  const percent = `${Math.floor(measured.score * 100)} %`;
  const reasons = [...measured.reasons, ...(measured.not_measured ?? [])];
  const said = [`${WORDS[level]} (continuity ${percent})`, ...reasons];
  return (
    <span
      className="continuity"
      data-level={level}
      role="img"
      tabIndex={0}
      title={said.join("\n")}
      aria-label={`Shot ${shot.number + 1}. ${said.join(". ").replaceAll("..", ".")}`}
    >
      <Icon name={level === "kept" ? "kept" : "lost"} />
      {level !== "kept" && percent}
    </span>
  );
}
