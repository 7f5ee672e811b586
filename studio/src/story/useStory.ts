/** A story on the page: its state, its socket and its picture, tied together. */

import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import type { ShotEntry } from "../protocol";
import { CanvasScreen } from "../video/canvasScreen";
import { KIND, type Packet, type Position, readPacket } from "../video/packet";
import { Player } from "../video/player";
import { Reel } from "../video/reel";
import { whyNoVideo } from "../video/screen";
import { Link, type Order } from "./link";
import { liveAddress } from "./server";
import { nothingYet, reduce } from "./state";

/** What is on the screen. */
export interface OnScreen extends Position {
  isReplay: boolean;
}

const POSITION_EVERY_MS = 200;

export function useStory(story: string, canvas: HTMLCanvasElement | null) {
  const [state, happen] = useReducer(reduce, nothingYet);
  const [onScreen, setOnScreen] = useState<OnScreen>();
  const [thumbnails, setThumbnails] = useState<ReadonlyMap<string, string>>(new Map());
  const link = useRef<Link>(null);
  const player = useRef<Player>(null);
  const reel = useRef(new Reel());
  const shots = useRef<ShotEntry[]>([]);
  const early = useRef<Packet[]>([]);
  shots.current = state.shots;

  const keepThumbnail = useCallback((packet: Packet) => {
    const url = URL.createObjectURL(new Blob([packet.payload], { type: "image/jpeg" }));
    setThumbnails((before) => new Map(before).set(`${packet.shot}/${packet.take}`, url));
  }, []);

  useEffect(() => {
    const packetCame = (bytes: ArrayBuffer) => {
      const packet = readPacket(bytes);
      if (packet.kind === KIND.thumbnail) return keepThumbnail(packet);
      if (whyNoVideo() || !reel.current.add(packet)) return;
      if (player.current) player.current.push(packet);
      else early.current.push(packet);
    };
    const opened = new Link(liveAddress(), story, {
      lastChunk: () => reel.current.lastWholeChunk(shots.current),
      said: (event) => happen({ kind: "said", event }),
      packet: packetCame,
      link: (to) => happen({ kind: "link", link: to }),
    });
    link.current = opened;
    return () => opened.close();
  }, [story, keepThumbnail]);

  const fps = state.stage?.fps;
  useEffect(() => {
    if (!canvas || !fps || whyNoVideo()) return;
    const failed = (message: string) => {
      opened.breakOff();
      happen({
        kind: "note",
        tone: "wrong",
        text: `The picture stopped: ${message} It goes on with the next shot.`,
      });
    };
    let toldAt = -Infinity;
    let told: OnScreen | undefined;
    const shown = (position: Position, isReplay: boolean) => {
      link.current?.playhead(position);
      const isNews =
        !told || told.shot !== position.shot || told.take !== position.take || told.isReplay !== isReplay;
      if (!isNews && performance.now() - toldAt < POSITION_EVERY_MS) return;
      toldAt = performance.now();
      told = { ...position, isReplay };
      setOnScreen(told);
    };
    const opened = new Player(new CanvasScreen(canvas, fps, failed), fps, shown);
    opened.openAt(shots.current.findLast((shot) => shot.frames > 0)?.number ?? 0);
    for (const packet of early.current.splice(0)) opened.push(packet);
    player.current = opened;
    return () => {
      player.current = null;
      opened.close();
    };
  }, [canvas, fps]);

  const order = useCallback((what: Order) => {
    if (link.current) happen({ kind: "sent", command: link.current.send(what) });
  }, []);
  const playFrom = useCallback((number: number) => {
    player.current?.replay(reel.current.from(shots.current.filter((shot) => shot.number >= number)));
  }, []);
  const follow = useCallback(() => player.current?.follow(), []);
  const retry = useCallback(() => link.current?.retry(), []);
  const canPlay = useCallback((shot: ShotEntry) => reel.current.has(shot), []);
  return { state, happen, order, onScreen, thumbnails, playFrom, follow, retry, canPlay };
}

export type OpenStory = ReturnType<typeof useStory>;
