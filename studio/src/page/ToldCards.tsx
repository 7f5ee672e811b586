/** Shots that are told, as cards in the order of the film: dragged to other places, or moved by keys. */

import { useEffect, useRef, useState } from "react";
import type { ShotCard } from "../protocol";
import { moveTo } from "../story/numbers";
import type { Vocabulary } from "../story/server";
import type { Prompts } from "../story/usePrompts";
import type { OpenStory } from "../story/useStory";
import { Card } from "./Card";
import { BY_ARROW, CANNOT, type Moving, drags, startDrag } from "./cardDrag";

interface Props {
  /** Those of the film, in order. */
  shots: ShotCard[];
  open: OpenStory;
  vocabulary: Vocabulary;
  prompts: Prompts;
  /** Whether cards follow whose shots are not told yet. */
  othersFollow: boolean;
}

export function ToldCards({ shots, open, vocabulary, prompts, othersFollow }: Props) {
  const { order, wrong } = open;
  const [over, setOver] = useState<number>();
  const dragged = useRef<number>(undefined);
  const wanted = useRef<number>(undefined);
  const articles = useRef(new Map<number, HTMLElement>());
  const numbers = shots.map(({ number }) => number).join();
  useEffect(() => {
    if (wanted.current !== undefined) articles.current.get(wanted.current)?.focus();
    wanted.current = undefined;
  }, [numbers]);
  const move = (shot: number, place: number) => {
    const from = shots.findIndex(({ number }) => number === shot);
    if (from >= 0 && place !== from) order(moveTo(shots, shot, place));
  };
  const moving = ({ number, prompt }: ShotCard, place: number): Moving => {
    const by = (places: number) =>
      shots[place + places] && (() => ((wanted.current = number), move(number, place + places)));
    return {
      isOver: over === place,
      onDragStart: (event) => {
        dragged.current = number;
        startDrag(event, "told", prompt);
      },
      onDragOver: (event) => {
        if (!drags(event, "told") && !drags(event, "waiting")) return;
        event.preventDefault();
        setOver(place);
      },
      onDragEnd: () => ((dragged.current = undefined), setOver(undefined)),
      onDrop: (event) => {
        if (!drags(event, "told") && !drags(event, "waiting")) return;
        event.preventDefault();
        setOver(undefined);
        if (drags(event, "waiting")) wrong(CANNOT.waiting);
        else if (dragged.current !== undefined) move(dragged.current, place);
        dragged.current = undefined;
      },
      onKeyDown: (event) => {
        const places = event.altKey ? BY_ARROW[event.key] : undefined;
        if (!places || event.target !== event.currentTarget || event.ctrlKey || event.metaKey) return;
        event.preventDefault(); // the browser's way back
        event.stopPropagation();
        const move = by(places);
        if (move) move();
        else if (places > 0 && othersFollow) wrong(CANNOT.told);
      },
      by,
      element: (article) => {
        if (article) articles.current.set(number, article);
        else articles.current.delete(number);
      },
    };
  };
  return shots.map((shot, place) => (
    <Card
      key={shot.number}
      shot={shot}
      open={open}
      vocabulary={vocabulary}
      marks={prompts.marks(shot.prompt)}
      moving={moving(shot, place)}
    />
  ));
}
