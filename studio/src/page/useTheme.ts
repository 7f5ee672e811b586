/** Light, dark, or as the system has it. */

import { useEffect, useState } from "react";

const THEMES = ["system", "light", "dark"] as const;
type ThemeName = (typeof THEMES)[number];

export interface Theme {
  name: ThemeName;
  next(): void;
}

export function useTheme(): Theme {
  const [name, setName] = useState(() => (localStorage.getItem("theme") ?? "system") as ThemeName);
  useEffect(() => {
    document.documentElement.dataset.theme = name;
    localStorage.setItem("theme", name);
  }, [name]);
  return { name, next: () => setName((now) => THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]!) };
}
