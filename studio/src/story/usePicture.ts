/** The picture of a story: what is on the screen, and how to look at something else. */

import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import { CanvasScreen } from "../video/canvasScreen";
import { positionOf } from "../video/decoder";
import { MseScreen } from "../video/mseScreen";
import { type Packet, type Position, isFrom, readPacket } from "../video/packet";
import { type Look, Player } from "../video/player";
import { Reel } from "../video/reel";
import { screenKind } from "../video/screen";
import { shotsFrom } from "./numbers";
import { growingAddress } from "./server";
import {
  endsShot,
  endsStory,
  frameAt,
  isTrimmed,
  madeShots,
  neighbour,
  positionAt,
  shownOf,
} from "./timeline";

/** What is on the screen. */
export interface OnScreen extends Position {
  look: Look;
}

/** A film of these shots that stands for the picture. */
export interface Film {
  shots: ShotCard[];
  at: Position;
  plays: boolean;
  /** Another number for every wish to see another place. */
  opened: number;
}

export interface Mode {
  alone: boolean;
  loops: boolean;
}

interface Told {
  story: string;
  /** Nothing until the server has said it. */
  fps?: number;
  shots: RefObject<ShotCard[]>;
  /** Told what is played live or again. */
  playhead(position: Position): void;
  /** Told of every frame that becomes visible. */
  visible(position: Position, look: Look): void;
  wrong(sentence: string): void;
}

const POSITION_EVERY_MS = 200;

/** The rest of the chunk on the screen is played in no more, when the picture is to turn after it. */
const MOST_SECONDS_TO_TURN = 0.5;

export function usePicture({ story, fps, shots, playhead, visible, wrong }: Told) {
  const [element, setElement] = useState<HTMLCanvasElement | HTMLVideoElement | null>(null);
  const [onScreen, setOnScreen] = useState<OnScreen>();
  /** Frames that are not here are played as a film from the server, over the picture. */
  const [film, setFilm] = useState<Film>();
  /** What is played: the whole story, or one shot alone; once, or again and again. */
  const [mode, setMode] = useState<Mode>({ alone: false, loops: false });
  /** A frame that stands over the picture until the next one is shown. */
  const [end, setEnd] = useState<Position>();
  const reel = useRef(new Reel());
  const player = useRef<Player>(null);
  const early = useRef<Packet[]>([]);
  const now = useRef<OnScreen>(undefined);
  const filmVideo = useRef<HTMLVideoElement>(null);
  const modeNow = useRef(mode);
  modeNow.current = mode;
  /** Told of every frame that becomes visible, after it was said. */
  const ended = useRef<(position: Position, look: Look) => void>(undefined);

  const shown = useMemo(() => {
    let toldAt = -Infinity;
    let told: OnScreen | undefined;
    return (position: Position, look: Look) => {
      now.current = { ...position, look };
      visible(position, look);
      const isOther = told?.shot !== position.shot || told.take !== position.take || told.look !== look;
      const isNews = isOther || endsShot(shots.current, position);
      if (!isNews && look !== "still" && performance.now() - toldAt < POSITION_EVERY_MS) return;
      toldAt = performance.now();
      setOnScreen((told = now.current));
      ended.current?.(position, look);
    };
  }, [shots, visible]);

  useEffect(() => {
    if (!element || !fps) return;
    const failed = (message: string) => {
      opened.breakOff();
      wrong(`The picture stopped: ${message} It goes on with the next chunk.`);
    };
    const screen =
      element instanceof HTMLCanvasElement
        ? new CanvasScreen(element, fps, failed)
        : new MseScreen(element, fps, (position) => growingAddress(story, position), failed);
    const opened = new Player(screen, fps, (position, look) => {
      if (look !== "still") playhead(position);
      setEnd(undefined);
      shown(position, look);
    });
    opened.hurries = anyLive(shots.current);
    for (const packet of early.current.splice(0)) opened.push(packet);
    player.current = opened;
    return () => {
      player.current = null;
      opened.close();
    };
  }, [element, story, fps, shots, playhead, shown, wrong]);

  const packet = useCallback(
    (bytes: ArrayBuffer) => {
      const came = readPacket(bytes);
      if (!screenKind() || !reel.current.add(came)) return;
      const isElsewhere = now.current && now.current.look !== "live";
      if (isElsewhere) playhead(positionOf(came)); // what is made goes on while something else is watched
      if (!player.current) return void early.current.push(came);
      player.current.hurries = anyLive(shots.current);
      player.current.push(came);
    },
    [shots, playhead],
  );

  /** Goes no further than the chunk on the screen, of so many frames, and soon to its end. */
  const awaitTurn = useCallback(
    (perChunk: number) => {
      const at = now.current;
      const shot = shots.current.find(({ number }) => number === at?.shot);
      if (!fps || !at || !shot) return;
      const restSeconds = ((shot.frames - at.frame - 1) % perChunk) / fps;
      player.current?.awaitTurn(Math.max(1, restSeconds / MOST_SECONDS_TO_TURN));
    },
    [fps, shots],
  );

  const release = useCallback(() => player.current?.release(), []);

  /** Forgets what was made of a take from this frame on: nobody has seen it, and other frames come. */
  const drop = useCallback((from: Position) => {
    reel.current.drop(from);
    early.current = early.current.filter((packet) => !isFrom(packet, from));
    player.current?.drop(from);
  }, []);

  /** Shows where the story ends by now, or nothing if nothing of it is left; what was to come is dropped. */
  const showEnd = useCallback(() => {
    const newest = shots.current.findLast((shot) => shot.frames > 0);
    player.current?.empty();
    if (reel.current.newest) playhead(positionOf(reel.current.newest)); // the server does not wait for it
    now.current = newest && { ...endOf(newest), look: "live" };
    setFilm(undefined);
    setEnd(now.current);
    setOnScreen(now.current);
  }, [shots, playhead]);

  const follow = useCallback(() => {
    setFilm(undefined);
    const newest = shots.current.findLast((shot) => shot.frames > 0);
    if (newest?.state === "live" || now.current?.look === "live") return player.current?.follow();
    const packets = newest ? reel.current.upTo(endOf(newest)) : [];
    if (packets.length === 0) return showEnd();
    player.current?.replay(packets); // its last chunk, and stays there
  }, [shots, showEnd]);

  /** Shows frames that are not here, from one on or it alone. */
  const openFilm = useCallback(
    (at: Position, plays: boolean) => {
      const made = madeShots(shots.current);
      player.current?.stand();
      setFilm((open) => ({ shots: made, at, plays, opened: (open?.opened ?? 0) + 1 }));
    },
    [shots],
  );

  const playFrom = useCallback(
    (number: number, frame = 0) => {
      element?.scrollIntoView({ block: "nearest" });
      const made = shotsFrom(madeShots(shots.current), number);
      const [first] = made;
      if (!first) return follow();
      const wanted = first.number === number ? frame : 0;
      const at = { shot: first.number, take: first.take, frame: Math.max(wanted, shownOf(first).first) };
      if (!made.every((shot) => shot.state === "live" || reel.current.holds(shot))) return openFilm(at, true);
      if (screenKind() === "video" && made.some(isTrimmed)) return openFilm(at, true); // it shows whole chunks
      setFilm(undefined);
      player.current?.replay(reel.current.from(made, at.frame));
    },
    [shots, follow, openFilm, element],
  );

  /** Stands still on a frame. */
  const standOn = useCallback(
    (at: Position) => {
      const packets = reel.current.upTo(at);
      if (packets.length === 0) return openFilm(at, false);
      setFilm(undefined);
      player.current?.stand(packets);
    },
    [openFilm],
  );

  /** Whether frames follow one another on the screen, or will as soon as they are made. */
  const isPlaying =
    onScreen !== undefined &&
    onScreen.look !== "still" &&
    !(endsStory(madeShots(shots.current), onScreen) && !isMaking(shots.current));

  const pause = useCallback(() => now.current && standOn(now.current), [standOn]);

  /** Goes on from the frame on which the picture stands; from the beginning where it stands at the end. */
  const goOn = useCallback(() => {
    const made = madeShots(shots.current);
    const at = now.current;
    if (!at || !made[0]) return;
    const isOver = modeNow.current.alone ? endsShot(made, at) : endsStory(made, at);
    if (!isOver) return playFrom(at.shot, at.frame);
    playFrom(modeNow.current.alone ? at.shot : made[0].number);
  }, [shots, playFrom]);

  /** Shows another place of the story; it goes on playing if it did. */
  const seek = useCallback(
    (place: number) => {
      const to = positionAt(madeShots(shots.current), place);
      if (!to) return;
      if (isPlaying) playFrom(to.shot, to.frame);
      else standOn(to);
    },
    [shots, isPlaying, playFrom, standOn],
  );

  /** So many frames on or back, and the picture stands. */
  const step = useCallback(
    (by: number) => {
      const made = madeShots(shots.current);
      const to = now.current && positionAt(made, frameAt(made, now.current) + by);
      if (to) standOn(to);
    },
    [shots, standOn],
  );

  ended.current = (position, look) => {
    const made = madeShots(shots.current);
    if (look === "still" || !endsShot(made, position)) return;
    const { alone, loops } = modeNow.current;
    if (alone) return loops ? playFrom(position.shot) : standOn(position);
    if (loops && endsStory(made, position) && !isMaking(shots.current)) playFrom(made[0]!.number);
  };

  /** After the last frame of the film: what was made since, if it is here. */
  const filmEnded = useCallback(() => {
    const next = now.current && neighbour(shots.current, now.current, 1);
    if (next && reel.current.upTo(next).length > 0) playFrom(next.shot, next.frame);
    else if (isMaking(shots.current)) follow();
  }, [shots, playFrom, follow]);

  const lastChunk = useCallback(() => reel.current.lastWholeChunk(shots.current), [shots]);
  return {
    setElement,
    onScreen,
    end,
    film,
    filmVideo,
    filmEnded,
    mode,
    setMode,
    isPlaying,
    shown,
    packet,
    awaitTurn,
    release,
    drop,
    lastChunk,
    playFrom,
    pause,
    goOn,
    seek,
    follow,
    showEnd,
    step,
  };
}

const isMaking = (shots: ShotCard[]) => shots.some(({ state }) => state === "live" || state === "queued");

const anyLive = (shots: ShotCard[]) => shots.some(({ state }) => state === "live");

const endOf = (shot: ShotCard): Position => ({
  shot: shot.number,
  take: shot.take,
  frame: shownOf(shot).last,
});
