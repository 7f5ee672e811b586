import pytest

from shotstream.evaluation.suites import from_files, held_out
from shotstream.story import Story, StoryError
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.unit


def test_held_out_stories_count_their_seeds_up():
    tasks = held_out(3, 2, first_seed=7, frames=9)
    worlds = [sample_story(seed, split="held-out", shots=2, frames=9) for seed in (7, 8, 9)]
    assert [task.world for task in tasks] == worlds
    assert [task.story.seed for task in tasks] == [7, 8, 9]
    assert tasks[0].story.setting == worlds[0].setting
    assert [shot.prompt for shot in tasks[0].story.shots] == [shot.prompt for shot in worlds[0].shots]
    assert tasks[0].name == "held-out-000007"


def test_keys_tell_tasks_apart():
    assert held_out(2, 2) == held_out(2, 2)
    assert held_out(1, 2)[0].key == held_out(2, 2)[0].key
    tasks = [*held_out(2, 2), *held_out(2, 3), *held_out(2, 2, frames=9)]
    assert len({task.key for task in tasks}) == len(tasks)


def test_stories_of_files_and_folders(tmp_path):
    with pytest.raises(ValueError, match="holds no story files"):
        from_files(tmp_path)
    story = Story(setting="", shots=["a fox"])
    for name in ("b.yaml", "a.json"):
        story.write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no story")
    assert [task.name for task in from_files(tmp_path)] == ["a", "b"]
    assert from_files(tmp_path / "b.yaml")[0].story == story
    with pytest.raises(ValueError, match="there is no suite 'nowhere'"):
        from_files(type(tmp_path)("nowhere"))
    (tmp_path / "c.yaml").write_text("shots: 3")
    with pytest.raises(StoryError):
        from_files(tmp_path)
