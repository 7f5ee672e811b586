/** What cards are dragged: those of told shots, and those that wait. */

import type { DragEvent, KeyboardEvent } from "react";

const TYPES = { told: "application/x-told-shot", waiting: "application/x-waiting-shot" } as const;
export type Kind = keyof typeof TYPES;

/** Begins to drag a card; its words go where text is dropped. */
export function startDrag(event: DragEvent, kind: Kind, words: string): void {
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", words);
  event.dataTransfer.setData(TYPES[kind], "");
}

/** Whether such a card is dragged. */
export const drags = (event: DragEvent, kind: Kind) => event.dataTransfer.types.includes(TYPES[kind]);

/** Why such a card cannot stand among the others. */
export const CANNOT = {
  waiting:
    "A shot that is not told yet stands behind those that are: what comes before it must be known. Shoot it first, then move it.",
  told: "A told shot stands before those that are not told yet. Move it among the told ones.",
} as const;

/** How a card is moved. */
export interface Moving {
  isOver: boolean;
  onDragStart(event: DragEvent): void;
  onDragOver(event: DragEvent): void;
  onDragEnd(): void;
  onDrop(event: DragEvent): void;
  onKeyDown(event: KeyboardEvent): void;
  /** So many places on or back; nothing where there is no such place. */
  by(places: number): (() => void) | undefined;
  /** The element that has the focus when it is moved by a key. */
  element(article: HTMLElement | null): void;
}

/** By how many places an arrow moves a card. */
export const BY_ARROW: Record<string, number> = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 };
