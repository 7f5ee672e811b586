"""How often something may be done."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class Allowance:
    """So many at once, and so many a second after that (a token bucket).

    Args:
        per_second: How fast it fills again.
        at_once: How much it holds.
        clock: Seconds that run evenly.
    """

    def __init__(self, per_second: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._at_once, self._clock = per_second, at_once, clock
        self._left, self._since = float(at_once), clock()

    def take(self) -> bool:
        """Take one; False if there is none."""
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Allowances:
    """An allowance for each of many clients; those that were quiet longest are forgotten.

    Args:
        per_second: Of each.
        at_once: Of each.
        most_clients: How many are remembered.
    """

    def __init__(self, per_second: float, at_once: int, most_clients: int = 1024) -> None:
        self._per_second, self._at_once, self._most = per_second, at_once, most_clients
        self._clients: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, client: str) -> bool:
        """Take one of a client's; False if there is none."""
        allowance = self._clients.setdefault(client, Allowance(self._per_second, self._at_once))
        self._clients.move_to_end(client)
        if len(self._clients) > self._most:
            self._clients.popitem(last=False)
        return allowance.take()
