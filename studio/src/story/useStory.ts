/** A story on the page: its state, its socket and its picture, tied together. */

import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import type { Position } from "../video/packet";
import type { Look } from "../video/player";
import { CLOSED, Link, type Order } from "./link";
import { OrderRow } from "./orderRow";
import { useReadiness } from "./readiness";
import { NotAllowed, liveAddress, readModel } from "./server";
import { type StoryState, inFilm, nothingYet, reduce, turns } from "./state";
import { usePicture } from "./usePicture";
import { useSound } from "./useSound";

const RELOADED = "reloaded for another version";

export function useStory(story: string) {
  const [state, happen] = useReducer(reduce, nothingYet);
  const link = useRef<Link>(null);
  const shots = useRef<ShotCard[]>([]);
  shots.current = inFilm(state.shots);
  const newest = useRef(state);
  newest.current = state;

  const playhead = useCallback((position: Position) => link.current?.playhead(position), []);
  const wrong = useCallback((text: string) => happen({ kind: "note", tone: "wrong", text }), []);
  const sound = useSound(story, state.sounds, state.stage?.fps, wrong);
  const { shown: heard } = sound;
  const visible = useCallback(
    (position: Position, look: Look) => heard(shots.current, position, look),
    [heard],
  );
  const picture = usePicture({ story, fps: state.stage?.fps, shots, playhead, visible, wrong });
  const { packet, lastChunk, awaitTurn, release, drop } = picture;

  useEffect(() => {
    const opened = new Link(liveAddress(), story, {
      lastChunk,
      packet,
      said: (event) => {
        if (event.type === "turned") drop(event);
        if (event.type === "receipt" || event.type === "refused") release();
        happen({ kind: "said", event });
      },
      link: (to, why) => {
        if (why?.code === CLOSED.otherVersion && reloadOnce()) return;
        happen({ kind: "link", link: to, reason: why?.sentence });
        if (to === "open") sessionStorage.removeItem(RELOADED);
        if (to === "lost") readModel().catch(notAllowed);
      },
    });
    const notAllowed = (error: unknown) => {
      if (!(error instanceof NotAllowed)) return; // it is not there, and the link tries again
      opened.close();
      happen({ kind: "link", link: "ended", reason: error.message });
    };
    link.current = opened;
    return () => opened.close();
  }, [story, lastChunk, packet, drop, release]);

  useShowingTheEnd(state, picture);

  const [held, setHeld] = useState(0);
  const send = useCallback(
    (what: Order) => {
      if (!link.current) return;
      const { stage } = newest.current;
      const command = link.current.send(what);
      if (stage && turns(command, newest.current)) awaitTurn(stage.fps * stage.chunkSeconds);
      happen({ kind: "sent", command });
    },
    [awaitTurn],
  );
  const sendNow = useRef(send);
  sendNow.current = send;
  const row = useMemo(() => new OrderRow((what) => sendNow.current(what), setHeld), [story]);
  const order = useCallback((what: Order) => row.give(what), [row]);
  /** Takes a place among the orders for one that is known later. */
  const reserve = useCallback(() => row.reserve(), [row]);
  const retry = useCallback(() => link.current?.retry(), []);
  const readiness = useReadiness(["connecting", "lost"].includes(state.link));
  useEffect(() => {
    if (readiness === "ready") retry(); // it is back: no need to wait for the next try
  }, [readiness, retry]);
  return { ...picture, sound, story, state, readiness, happen, order, reserve, held, retry, wrong };
}

export type OpenStory = ReturnType<typeof useStory>;

/** When the shot on the screen was deleted, or one was brought back, the picture is another. */
function useShowingTheEnd(
  { stage, shots, telling }: StoryState,
  { onScreen, showEnd }: ReturnType<typeof usePicture>,
) {
  const former = useRef<number>(undefined);
  useEffect(() => {
    const film = inFilm(shots);
    const more = film.length - (former.current ?? film.length);
    former.current = stage && film.length;
    const isGone = stage && onScreen && !film.some(({ number }) => number === onScreen.shot);
    const isBack = more > 0 && telling === "idle" && film.at(-1)!.frames > 0;
    if (isGone || isBack) showEnd();
  }, [stage, shots, onScreen?.shot]);
}

/** Loads the page anew, but not again and again. */
function reloadOnce(): boolean {
  if (sessionStorage.getItem(RELOADED)) return false;
  sessionStorage.setItem(RELOADED, "yes");
  location.reload();
  return true;
}
