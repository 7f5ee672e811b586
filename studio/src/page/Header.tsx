import type { ReactNode } from "react";
import { Icon } from "./Icon";
import type { Theme } from "./useTheme";

interface Props {
  theme: Theme;
  onHelp(): void;
  /** Of the story. */
  title?: ReactNode;
  children?: ReactNode;
}

/** The line on top: where the library is, the story's title and what it does, how the page looks. */
export function Header({ theme, onHelp, title, children }: Props) {
  return (
    <header className="header">
      <a className="wordmark" href="#/">
        <img src="icon.svg" alt="" />
        <span>ShotStream</span>
        <span className="unseen">, all stories</span>
      </a>
      {title}
      <div className="header-middle">{children}</div>
      <button
        type="button"
        className="quiet round"
        onClick={theme.next}
        aria-label={`Colours: ${theme.name}. Change.`}
        title={`Colours: ${theme.name}`}
      >
        <Icon name={theme.name} />
      </button>
      <button
        type="button"
        className="quiet round"
        onClick={onHelp}
        aria-label="Help and keys"
        title="Help and keys (?)"
      >
        ?
      </button>
    </header>
  );
}
