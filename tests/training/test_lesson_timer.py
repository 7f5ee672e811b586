import pytest

from shotstream.training.lesson_timer import LessonTimer

pytestmark = pytest.mark.unit


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_without_seconds_only_steps_count():
    timer = LessonTimer([(3, None), (2, None)], Clock())
    assert [timer.after(step) for step in range(5)] == [1, 2, 3, 4, 5]
    assert [timer.position(step) for step in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="beyond the 5 steps"):
        timer.after(5)


def test_a_lesson_ends_by_the_clock_and_the_next_begins_anew():
    clock = Clock()
    timer = LessonTimer([(100, 10.0), (50, 20.0)], clock)
    clock.seconds = 4.0
    assert timer.after(0) == 1
    assert timer.position(1) == 40  # so far by the clock
    clock.seconds = 10.5
    assert timer.after(1) == 100  # the rest is passed over
    assert timer.position(100) == 100
    clock.seconds = 15.5
    assert timer.position(101) == pytest.approx(100 + 50 * 5 / 20)
    clock.seconds = 31.0
    assert timer.after(101) == 150


def test_steps_end_a_lesson_before_its_time():
    clock = Clock()
    timer = LessonTimer([(2, 10.0), (2, 10.0)], clock)
    clock.seconds = 1.0
    assert [timer.after(0), timer.after(1)] == [1, 2]
    clock.seconds = 10.5
    assert timer.after(2) == 3  # the second lesson's clock began with it
