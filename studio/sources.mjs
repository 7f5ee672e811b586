/** A number over everything that the page is built from, so that a stale build is found. */

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SOURCES = ["index.html", "package-lock.json", "public", "src"];

/** The sha256 over every file in the order of their paths: path (with /), a zero byte, what is in it. */
export function hashOfSources(root = ".") {
  const hash = createHash("sha256");
  for (const path of SOURCES.flatMap((name) => filesUnder(root, name)).sort()) {
    hash.update(`${path}\0`).update(readFileSync(join(root, path)));
  }
  return hash.digest("hex");
}

function filesUnder(root, path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path)).flatMap((name) => filesUnder(root, `${path}/${name}`));
}

/** Writes `sources.json` beside a built page. */
export function sourcesBeside(folder) {
  const sha256 = hashOfSources();
  return {
    name: "sources",
    apply: "build",
    closeBundle: () => writeFileSync(join(folder, "sources.json"), `${JSON.stringify({ sha256 })}\n`),
  };
}
