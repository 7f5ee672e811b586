/** What went wrong, and the way on. */

import { NotAllowed } from "../story/server";

export function Wrong({ error }: { error?: Error }) {
  return (
    <p className="wrong" role="alert">
      {error?.message}
      {error instanceof NotAllowed && <WayIn />}
    </p>
  );
}

/** To the page where a token can be given. */
export function WayIn() {
  return (
    <>
      {" "}
      <a href="./">Give the token</a> that the studio printed when it started.
    </>
  );
}
