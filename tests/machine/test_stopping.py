from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from shotstream.machine.stopping import stop_signals, stopped_by_signals

pytestmark = [pytest.mark.unit, pytest.mark.skipif(os.name != "posix", reason="signals")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_wish_to_stop_is_an_interrupt(number):
    before = signal.getsignal(number)
    with stopped_by_signals() as received:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert received == [number]
    assert signal.getsignal(number) == before


def test_a_second_one_stops_what_the_first_one_began():
    done = []

    def stop_twice():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append("more")

    with stopped_by_signals() as received, pytest.raises(KeyboardInterrupt):
        stop_twice()
    assert received == [signal.SIGTERM, signal.SIGINT]
    assert not done


class Finalised:
    """Is sent a signal where Python ignores exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_one_that_comes_where_exceptions_are_ignored_is_not_lost(capsys):
    def work():
        Finalised()
        time.sleep(5)

    with stopped_by_signals() as received, pytest.raises(KeyboardInterrupt):
        work()
    assert received == [signal.SIGTERM, signal.SIGTERM]
    assert capsys.readouterr().err == ""


def test_what_was_ignored_from_the_start_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
        with stopped_by_signals() as received:
            signal.raise_signal(signal.SIGHUP)
        assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look():
        with stopped_by_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
