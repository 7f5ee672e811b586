/** Where the next shot is written. */

import { type ClipboardEvent, type FormEvent, type RefObject, useEffect, useState } from "react";
import type { PlannedShot } from "../protocol";
import { exampleOf, ideasFor, withIdea } from "../story/ideas";
import { kindOf, plannedOf, waitingShots } from "../story/script";
import { filmLength } from "../story/numbers";
import type { Vocabulary } from "../story/server";
import { isRunning } from "../story/state";
import { nameless } from "../story/words";
import type { Draft } from "../story/useDraft";
import type { Prompts } from "../story/usePrompts";
import type { OpenStory } from "../story/useStory";
import { type Give, useWhenAdapted } from "../story/useWhenAdapted";
import { AdaptSwitch, Adapted } from "./Adapted";
import { Icon } from "./Icon";
import { ScriptSwitch, takeScript } from "./ScriptSwitch";
import { Length, SeedInput } from "./ShotDetails";
import { type Enter, WordField } from "./WordField";

interface Props {
  open: OpenStory;
  draft: Draft;
  vocabulary: Vocabulary;
  field: RefObject<HTMLTextAreaElement | null>;
  prompts: Prompts;
}

/** Of a whole script; what is sent at once has room for as much. */
const MOST_CHARACTERS = 50_000;

export function Composer({ open, draft, vocabulary, field, prompts }: Props) {
  const { state } = open;
  const { text, setText, shots, isScript } = draft;
  const [seconds, setSeconds] = useState<number>();
  const [seed, setSeed] = useState<number>();
  const refused = state.notices.at(-1);
  useEffect(() => {
    if (refused?.typed) setText((now) => now || refused.typed!);
  }, [refused?.number, refused?.typed, setText]);

  const running = isRunning(state);
  const label = running ? "And then?" : `Shot ${filmLength(state.shots) + 1}: what happens?`;
  const ideas = ideasFor(vocabulary.prompts, state.shots.length);
  const limits = state.stage?.limits;
  const prompt = text.trim();
  const written = shots.map((shot) => shot.prompt);
  const coming = shots.filter(({ skipped }) => !skipped).length;
  const { asking, whenAdapted } = useWhenAdapted(open, text, prompts);
  const hint = prompts.can
    ? nobodyTold(isScript ? written : [prompt], filmLength(state.shots), prompts)
    : nobodyIn(isScript ? written : [text], filmLength(state.shots), vocabulary);
  const shootAll = (order: Give) => {
    if (shots.length === 0) return field.current?.focus({ preventScroll: true });
    const waiting = waitingShots(state.shots);
    const told = shots.map((shot) => ({
      ...shot,
      ...prompts.order(shot.prompt),
      ...(!hasLength(shot) && seconds && { seconds }),
    }));
    const from_shot = state.shots.length - waiting.length;
    order({ type: "replan", from_shot, shots: [...waiting.map(plannedOf), ...told] });
    setText("");
    draft.setOpened(false);
  };
  const give = (how: Enter) => {
    if (isScript) return whenAdapted(written, shootAll);
    const prompt = text.trim();
    if (!prompt) return field.current?.focus({ preventScroll: true });
    whenAdapted([prompt], (order) => shoot(order, prompts.order(prompt), how));
  };
  const shoot = (order: Give, what: { prompt: string; written?: string }, how: Enter) => {
    if (how === "control" && running) order({ type: "redirect", ...what });
    else {
      const after = running && how === "shift alt";
      const { skipped: _, ...planned } = shots.length === 1 ? shots[0]! : { prompt };
      const more = {
        ...planned,
        ...(seconds && { seconds }),
        ...(seed !== undefined && { seed }),
        ...(after && { after }),
      };
      order({ type: "shoot", ...more, ...what });
      setSeconds(undefined);
    }
    setText("");
  };
  const choose = (idea: string) => {
    setText(withIdea(text, idea));
    field.current?.focus({ preventScroll: true });
  };
  const pasted = (event: ClipboardEvent) => {
    const pasted = event.clipboardData.getData("text/plain");
    const kind = kindOf(pasted);
    if (!kind || !(event.target instanceof HTMLTextAreaElement)) return;
    event.preventDefault();
    void takeScript(new File([pasted], `pasted.${kind}`), open, draft);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    give("alone");
  };
  return (
    <form
      className="panel composer"
      data-script={isScript || undefined}
      onSubmit={submit}
      onPaste={pasted}
      aria-label="The next shot"
    >
      <WordField
        label={isScript ? "The script: a line or paragraph for each shot" : label}
        breaksLines={isScript}
        value={text}
        onChange={setText}
        onEnter={give}
        known={vocabulary.words}
        marks={prompts.marksAsWritten(isScript ? written : [prompt])}
        most={MOST_CHARACTERS}
        placeholder={isScript ? ideas.slice(0, 3).join("\n") : exampleOf(ideas)}
        field={field}
        beside={
          <>
            <p className="hint dim" role="status">
              {hint}
            </p>
            {!isScript && !hint && <Chips prompts={ideas} onChoose={choose} />}
          </>
        }
      />
      {(!isScript || asking) && (
        <Adapted text={isScript ? "" : prompt} prompts={prompts} asking={asking} held={open.held} />
      )}
      <div className="row end">
        <AdaptSwitch prompts={prompts} />
        <ScriptSwitch open={open} draft={draft} field={field} />
        <Length seconds={seconds} most={limits?.shot_seconds ?? 60} onChange={setSeconds} />
        {!isScript && <Seed seed={seed} onChange={setSeed} />}
        <span className="gap" />
        {isScript ? (
          <button type="submit" className="primary" title="Ctrl+Enter" disabled={shots.length === 0}>
            <Icon name="shoot" /> {shots.length > 1 ? `Shoot all ${coming}` : "Shoot all"}
          </button>
        ) : (
          <Ways running={running} give={give} />
        )}
      </div>
    </form>
  );
}

/** Which shots will be told without saying whom they are about. */
function nobodyTold(texts: string[], first: number, prompts: Prompts): string | undefined {
  const nobody = texts.flatMap((text, place) => {
    const read = prompts.find(text);
    const marks = read?.adapted && prompts.isOn && !prompts.keepsOwn(text) ? read.adapted.marks : read?.marks;
    const mark = /\w\W+\w/.test(text) && marks?.find(({ code }) => code === "nobody");
    return mark ? [{ shot: first + place + 1, mark }] : [];
  });
  return sayNobody(
    nobody.map(({ shot }) => shot),
    nobody[0]?.mark.near[0],
  );
}

const hasLength = ({ seconds, chunks }: PlannedShot) => Boolean(seconds ?? chunks);

/** Which shots do not say whom they are about; nothing if all do, or hardly anything is written yet. */
function nobodyIn(prompts: string[], first: number, { names, hero }: Vocabulary): string | undefined {
  const written = prompts.some((prompt) => /\w\W+\w/.test(prompt)); // more than a word that is being typed
  const places = written ? nameless(prompts, names) : [];
  return sayNobody(
    places.map((place) => first + place + 1),
    hero,
  );
}

function sayNobody(shots: number[], hero: string | null | undefined): string | undefined {
  if (shots.length === 0) return undefined;
  const all = new Intl.ListFormat("en").format(shots.map(String));
  const whose = shots.length > 1 ? `Shots ${all} name` : `Shot ${all} names`;
  return `${whose} nobody. Say “${hero ?? "who it is"}”, or somebody else may be drawn.`;
}

/** How what is written is given to the director. */
function Ways({ running, give }: { running: boolean; give(how: Enter): void }) {
  if (!running) {
    return (
      <button type="submit" className="primary" title="Enter">
        <Icon name="shoot" /> Shoot
      </button>
    );
  }
  return (
    <div className="row ways">
      <button
        type="button"
        onClick={() => give("control")}
        title="The running shot goes on by these words (Ctrl+Enter)"
      >
        <Icon name="redirect" /> Redirect
      </button>
      <button
        type="button"
        onClick={() => give("shift alt")}
        title="It waits until the running shot, and all that waits, has ended (Shift+Alt+Enter)"
      >
        <Icon name="after" /> After this shot
      </button>
      <button type="submit" className="primary" title="The running shot ends, and this begins (Enter)">
        <Icon name="cut" /> Cut to this
      </button>
    </div>
  );
}

/** The number that chance starts from; few people want it, so it hides. */
function Seed({ seed, onChange }: { seed?: number; onChange(seed?: number): void }) {
  const [open, setOpen] = useState(false);
  if (!open) {
    return (
      <button type="button" className="quiet" onClick={() => setOpen(true)} title="Choose the seed">
        <Icon name="dice" /> Seed
      </button>
    );
  }
  return <SeedInput seed={seed} autoFocus onChange={onChange} />;
}

function Chips({ prompts, onChoose }: { prompts: string[]; onChoose(text: string): void }) {
  if (prompts.length === 0) return null;
  return (
    <ul className="chips" aria-label="Ideas">
      {prompts.map((prompt) => (
        <li key={prompt}>
          <button type="button" className="chip" onClick={() => onChoose(prompt)}>
            {prompt}
          </button>
        </li>
      ))}
    </ul>
  );
}
