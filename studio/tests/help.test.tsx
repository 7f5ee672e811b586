// @vitest-environment happy-dom
import { act } from "react";
import { createRoot } from "react-dom/client";
import { expect, it, vi } from "vitest";
import { COMPARE_KEYS } from "../src/page/Compare";
import { Help } from "../src/page/Help";
import { CARD_KEYS } from "../src/page/Planned";
import { SOUND_KEYS } from "../src/page/SoundTracks";
import { TRIM_KEYS } from "../src/page/TrimEditor";
import { KEYS, nameOf } from "../src/page/useKeys";

vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);

it("lists every key of every view, and no single key does two things", async () => {
  const box = document.body.appendChild(document.createElement("div"));
  await act(async () => createRoot(box).render(<Help open onClose={() => undefined} />));
  const rows = [...box.querySelectorAll(".keys > div")].map((row) => row.textContent ?? "");
  for (const { key, says } of KEYS) expect(rows).toContain(`${nameOf(key)}${says}`);
  for (const { says } of [...CARD_KEYS, ...TRIM_KEYS, ...SOUND_KEYS, ...COMPARE_KEYS]) {
    expect(rows.filter((row) => row.includes(says))).toHaveLength(1);
  }
  expect(rows.some((row) => row.startsWith("1 – 9"))).toBe(true);
  expect(new Set(KEYS.map(({ key }) => key)).size).toBe(KEYS.length);
});
