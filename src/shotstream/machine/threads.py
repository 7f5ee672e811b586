"""Threads of a CPU that share it with others: how long they spin while they wait for one another.

torch's build for CPUs computes with GNU's OpenMP. Its waiting threads spin, by default for a long time. Where
something else wants the same cores, a thread that computes is put off by those that only wait: everything
runs several times slower than with one thread. Spinning a short while keeps the gain of several threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

SPIN_COUNT = 1000
"""Rounds that a waiting thread spins before it sleeps."""
_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""What a person may have set; either rules how threads wait."""


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads soon sleep, unless a person has set how they wait.

    It has an effect only before torch is imported, and only on builds of torch with GNU's OpenMP.
    """
    if "torch" not in sys.modules and not any(name in environment for name in _SETTINGS):
        environment["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def waiting_threads(environment: MutableMapping[str, str] = os.environ) -> str:
    """Say how threads wait for one another, for `shotstream doctor`."""
    for name in _SETTINGS:
        if name in environment:
            value = environment[name]
            said = f"waiting threads go by {name}={value}"
            return (
                f"{said}: they soon sleep, or work beside would slow all"
                if value == str(SPIN_COUNT)
                else said
            )
    return "waiting threads spin, which is slow beside other work: set GOMP_SPINCOUNT=1000"
