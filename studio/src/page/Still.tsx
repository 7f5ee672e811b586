/** A small picture from the server, or its empty place. */

import { useEffect, useState } from "react";

interface Props {
  src?: string;
  /** Empty where the words beside it say all. */
  alt?: string;
}

const FIRST_WAIT_MS = 400;
const MOST_TRIES = 6;

/** A frame is told of a moment before its picture can be had: the picture is asked for again, ever later. */
export function Still({ src, alt = "" }: Props) {
  const [tries, setTries] = useState(0);
  const [waiting, setWaiting] = useState(false);
  useEffect(() => {
    setTries(0);
    setWaiting(false);
  }, [src]);
  useEffect(() => {
    if (!waiting || tries >= MOST_TRIES) return;
    const again = () => {
      setTries(tries + 1);
      setWaiting(false);
    };
    const timer = setTimeout(again, FIRST_WAIT_MS * 2 ** tries);
    return () => clearTimeout(timer);
  }, [waiting, tries]);
  if (src && !waiting) {
    return <img key={tries} src={src} alt={alt} loading="lazy" onError={() => setWaiting(true)} />;
  }
  return <span className="no-picture" {...(alt && { role: "img", "aria-label": alt })} />;
}
