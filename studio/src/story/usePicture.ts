/** The picture of a story: what is on the screen, and how to look at something else. */

import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import { CanvasScreen } from "../video/canvasScreen";
import { positionOf } from "../video/decoder";
import { MseScreen } from "../video/mseScreen";
import { type Packet, type Position, readPacket } from "../video/packet";
import { type Look, Player } from "../video/player";
import { Reel, neighbour } from "../video/reel";
import { screenKind } from "../video/screen";
import { growingAddress } from "./server";

/** What is on the screen. */
export interface OnScreen extends Position {
  look: Look;
}

interface Told {
  story: string;
  /** Nothing until the server has said it. */
  fps?: number;
  shots: RefObject<ShotCard[]>;
  /** Told what is played live or again. */
  playhead(position: Position): void;
  wrong(sentence: string): void;
}

const POSITION_EVERY_MS = 200;

export function usePicture({ story, fps, shots, playhead, wrong }: Told) {
  const [element, setElement] = useState<HTMLCanvasElement | HTMLVideoElement | null>(null);
  const [onScreen, setOnScreen] = useState<OnScreen>();
  /** A shot whose frames are not here is played as a film from the server, over the picture. */
  const [clip, setClip] = useState<ShotCard>();
  /** A frame that stands over the picture until the next one is shown. */
  const [end, setEnd] = useState<Position>();
  const reel = useRef(new Reel());
  const player = useRef<Player>(null);
  const early = useRef<Packet[]>([]);
  const now = useRef<OnScreen>(undefined);
  const clipVideo = useRef<HTMLVideoElement>(null);

  const shown = useMemo(() => {
    let toldAt = -Infinity;
    let told: OnScreen | undefined;
    return (position: Position, look: Look) => {
      now.current = { ...position, look };
      const isNews = told?.shot !== position.shot || told.take !== position.take || told.look !== look;
      if (!isNews && look !== "still" && performance.now() - toldAt < POSITION_EVERY_MS) return;
      toldAt = performance.now();
      setOnScreen((told = now.current));
    };
  }, []);

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
      if (!player.current) return void early.current.push(came);
      player.current.hurries = anyLive(shots.current);
      player.current.push(came);
    },
    [shots],
  );

  /** Shows where the story ends by now, or nothing if nothing of it is left; what was to come is dropped. */
  const showEnd = useCallback(() => {
    const newest = shots.current.findLast((shot) => shot.frames > 0);
    player.current?.empty();
    if (reel.current.newest) playhead(positionOf(reel.current.newest)); // the server does not wait for it
    now.current = newest && { ...endOf(newest), look: "live" };
    setClip(undefined);
    setEnd(now.current);
    setOnScreen(now.current);
  }, [shots, playhead]);

  const follow = useCallback(() => {
    setClip(undefined);
    const newest = shots.current.findLast((shot) => shot.frames > 0);
    if (newest?.state === "live" || now.current?.look === "live") return player.current?.follow();
    const packets = newest ? reel.current.upTo(endOf(newest)) : [];
    if (packets.length === 0) return showEnd();
    player.current?.replay(packets); // its last chunk, and stays there
  }, [shots, showEnd]);

  const playFrom = useCallback(
    (number: number, frame = 0) => {
      element?.scrollIntoView({ block: "nearest" });
      const made = shots.current.filter((shot) => shot.number >= number && shot.frames > 0);
      const [first] = made;
      if (!first) return follow();
      if (!made.every((shot) => shot.state === "live" || reel.current.holds(shot))) {
        player.current?.stand();
        return setClip(first);
      }
      const packets = reel.current.from(made);
      const from = reel.current.upTo({ shot: number, take: first.take, frame })[0];
      setClip(undefined);
      player.current?.replay(from ? packets.slice(packets.indexOf(from)) : packets);
    },
    [shots, follow, element],
  );

  /** Goes on from the frame on which the picture stands. */
  const goOn = useCallback(() => {
    if (clipVideo.current) return void clipVideo.current.play();
    if (now.current) playFrom(now.current.shot, now.current.frame);
  }, [playFrom]);

  /** One frame on or back, and the picture stands. */
  const step = useCallback(
    (by: 1 | -1) => {
      if (clipVideo.current && fps) return stepFilm(clipVideo.current, by / fps);
      const next = now.current && neighbour(shots.current, now.current, by);
      const packets = next ? reel.current.upTo(next) : [];
      if (packets.length > 0) player.current?.stand(packets);
    },
    [shots, fps],
  );

  const clipEnded = useCallback(() => clip && playFrom(clip.number + 1), [clip, playFrom]);
  const lastChunk = useCallback(() => reel.current.lastWholeChunk(shots.current), [shots]);
  return {
    setElement,
    onScreen,
    end,
    clip,
    clipVideo,
    clipEnded,
    shown,
    packet,
    lastChunk,
    playFrom,
    goOn,
    follow,
    showEnd,
    step,
  };
}

const anyLive = (shots: ShotCard[]) => shots.some(({ state }) => state === "live");

const endOf = ({ number, take, frames }: ShotCard): Position => ({ shot: number, take, frame: frames - 1 });

function stepFilm(video: HTMLVideoElement, seconds: number): void {
  video.pause();
  video.currentTime = Math.max(0, video.currentTime + seconds);
}
