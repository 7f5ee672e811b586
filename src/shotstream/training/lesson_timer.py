"""How far a run is: by its steps, and by the clock where a lesson is limited in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Limit = tuple[int, float | None]
"""Steps of a lesson, and its most seconds; None: only steps count."""


class LessonTimer:
    """Counts the steps of a run whose lessons end by steps or by the clock, whichever comes first.

    When a lesson's time is over, the rest of its steps is passed over: the run goes on with the first step of
    the next lesson. What depends on how far the run is (the learning rate) goes by `position`.

    Args:
        limits: Of the lessons, in their order.
        clock: Gives seconds, the same ones in all processes that train together.
    """

    def __init__(self, limits: Sequence[Limit], clock: Callable[[], float]):
        self._limits, self._clock = limits, clock
        self._began = clock()

    def after(self, step: int) -> int:
        """Return the number of steps that are done after `step`, counted from 0: more if time is over."""
        first, (steps, seconds) = self._lesson(step)
        over = seconds is not None and self._clock() - self._began >= seconds
        done = first + steps if over else step + 1
        if done == first + steps:
            self._began = self._clock()
        return done

    def position(self, step: int) -> float:
        """Return how far the run is at a step, in steps: further than `step` where time runs out sooner."""
        first, (steps, seconds) = self._lesson(step)
        if seconds is None:
            return step
        by_clock = first + steps * min(1.0, (self._clock() - self._began) / seconds)
        return max(float(step), by_clock)

    def _lesson(self, step: int) -> tuple[int, Limit]:
        first = 0
        for limit in self._limits:
            if step < first + limit[0]:
                return first, limit
            first += limit[0]
        raise ValueError(f"step {step} is beyond the {first} steps of the run")
