/** How fast it is going. */

import type { StoryState } from "../story/state";
import { Gauges } from "./Memory";

const seconds = (value: number | null | undefined) =>
  value === null || value === undefined ? "–" : `${value.toFixed(2)} s`;

export function Figures({ state }: { state: StoryState }) {
  const { figures, memory, stage, droppedFrames } = state;
  const rows: [string, string][] = [
    ["Frames per second", figures ? figures.frames_per_second.toFixed(1) : "–"],
    ["First frame after", seconds(figures?.first_frame_seconds)],
    ["Prompt to screen", seconds(state.promptToGlassSeconds ?? figures?.prompt_to_glass_seconds)],
    ["Made ahead", seconds(figures?.lookahead_seconds)],
  ];
  if (droppedFrames > 0) rows.push(["Frames you missed", String(droppedFrames)]);
  if (figures && figures.queue > 0) rows.push(["Orders waiting", String(figures.queue)]);
  return (
    <details className="panel figures">
      <summary>Figures</summary>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {memory && <Gauges memory={memory} />}
      {stage && (
        <p className="dim">
          {stage.model} · {stage.size[0]} × {stage.size[1]} · plays at {stage.fps} a second
        </p>
      )}
    </details>
  );
}
