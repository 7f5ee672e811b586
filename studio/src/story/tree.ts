/** Stories and their branches as trees. */

import type { StoryEntry } from "./server";

export interface Node {
  entry: StoryEntry;
  /** Counted from 1. */
  level: number;
  branches: Node[];
}

/** The library's trees: newest first, branches in the order of the shots they left at. */
export function forest(entries: StoryEntry[]): Node[] {
  const here = new Set(entries.map(({ story }) => story));
  const nodes = (own: StoryEntry[], level: number): Node[] =>
    own.map((entry) => ({ entry, level, branches: nodes(branchesOf(entry.story), level + 1) }));
  const branchesOf = (story: string) =>
    entries
      .filter(({ parent }) => parent?.story === story)
      .sort(
        (one, other) => one.parent!.shot - other.parent!.shot || one.created_seconds - other.created_seconds,
      );
  const roots = entries.filter(({ parent }) => !parent || !here.has(parent.story));
  return nodes(
    [...roots].sort((one, other) => other.changed_seconds - one.changed_seconds),
    1,
  );
}

/** The tree that a story is part of. */
export function familyOf(trees: Node[], story: string): Node | undefined {
  return trees.find((tree) => rows(tree).some(({ entry }) => entry.story === story));
}

/** A tree from top to bottom, as it stands on the page. */
export function rows(tree: Node): Node[] {
  return [tree, ...tree.branches.flatMap(rows)];
}
