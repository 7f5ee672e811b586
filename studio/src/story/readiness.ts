/** Whether the studio can make pictures yet, and if not, why. */

import { useEffect, useState } from "react";

/**
 * `starting`: it has taken its address and does not answer before its model is loaded; `warming`: the model
 * makes a first chunk for nobody; `away`: nothing is there to answer.
 */
export type Readiness = "ready" | "warming" | "starting" | "away";

type Unready = Exclude<Readiness, "ready">;

export const TRIES_AGAIN = "This page tries again by itself.";

export const SENTENCES: Record<Unready, string> = {
  starting: "Getting ready: the studio starts and loads its model. It goes on by itself.",
  warming: "Getting ready: the model warms up. It goes on by itself.",
  away: `The studio is not running, or cannot be reached. ${TRIES_AGAIN}`,
};

/** Whether it is known that no pictures can be made now. */
export const isUnready = (readiness: Readiness | undefined): readiness is Unready =>
  readiness !== undefined && readiness !== "ready";

/** Whether it is on its way to being ready. */
export const isGettingReady = (readiness: Readiness | undefined) =>
  readiness === "starting" || readiness === "warming";

const EVERY_MS = 1000;
const STARTING_AFTER_MS = 3000;

/** Asks once. */
export async function readReadiness(patienceMs = STARTING_AFTER_MS): Promise<Readiness> {
  const patience = AbortSignal.timeout(patienceMs);
  try {
    const { ok, status } = await fetch("readyz", { signal: patience, cache: "no-store" });
    return ok ? "ready" : status === 503 ? "warming" : "away";
  } catch {
    return patience.aborted ? "starting" : "away";
  }
}

/**
 * Asks until the studio is ready, and again whenever `doubt` becomes true.
 *
 * @returns nothing before the first answer.
 */
export function useReadiness(doubt: boolean): Readiness | undefined {
  const [readiness, setReadiness] = useState<Readiness>();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let over = false;
    const ask = async () => {
      const found = await readReadiness();
      if (over) return;
      setReadiness(found);
      if (found !== "ready" || doubt) timer = setTimeout(ask, EVERY_MS);
    };
    void ask();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [doubt]);
  return readiness;
}
