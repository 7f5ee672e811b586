/** A story and its branches, each with the shot at which it left; walked with the arrow keys. */

import { type CSSProperties, type KeyboardEvent, useRef, useState } from "react";
import { stillAddress, titleOf } from "../story/server";
import { type Node, rows } from "../story/tree";
import { Still } from "./Still";

interface Props {
  tree: Node;
  /** The story that is open. */
  current?: string;
  label: string;
}

export function Tree({ tree, current, label }: Props) {
  const all = rows(tree);
  const [at, setAt] = useState(current ?? tree.entry.story);
  const list = useRef<HTMLUListElement>(null);
  const go = (story: string | undefined) => {
    if (!story) return;
    setAt(story);
    list.current?.querySelector<HTMLElement>(`[data-story="${story}"]`)?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    const here = all.findIndex(({ entry }) => entry.story === at);
    const next: Record<string, string | undefined> = {
      ArrowDown: all[here + 1]?.entry.story,
      ArrowUp: all[here - 1]?.entry.story,
      ArrowRight: all[here]?.branches[0]?.entry.story,
      ArrowLeft: all[here]?.entry.parent?.story,
      Home: all[0]?.entry.story,
      End: all.at(-1)?.entry.story,
    };
    if (event.key === "Enter") location.hash = `#/${at}`;
    else if (event.key in next)
      go(all.some(({ entry }) => entry.story === next[event.key]) ? next[event.key] : undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <ul className="tree" role="tree" aria-label={label} ref={list} onKeyDown={pressed}>
      {all.map((node) => (
        <Row key={node.entry.story} node={node} isNext={node.entry.story === at} current={current} />
      ))}
    </ul>
  );
}

function Row({ node, isNext, current }: { node: Node; isNext: boolean; current?: string }) {
  const { story, newest_prompt, shots, still, parent } = node.entry;
  const title = titleOf(node.entry);
  return (
    <li
      role="treeitem"
      aria-level={node.level}
      aria-expanded={node.branches.length > 0 || undefined}
      aria-selected={story === current}
      aria-current={story === current ? "page" : undefined}
      tabIndex={isNext ? 0 : -1}
      data-story={story}
      style={{ "--level": node.level - 1 } as CSSProperties}
    >
      <a href={`#/${story}`} tabIndex={-1} title={title}>
        <Still src={still ? stillAddress(story, still) : undefined} />
        <span className="tree-name">
          {parent && node.level > 1 ? newest_prompt || `Shot ${parent.shot + 1} and on` : title}
        </span>
        <span className="dim">
          {parent && node.level > 1
            ? `left after ${parent.shot + 1}`
            : shots === 1
              ? "1 shot"
              : `${shots} shots`}
        </span>
      </a>
    </li>
  );
}
