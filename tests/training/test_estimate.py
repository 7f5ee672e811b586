"""What a stage would take, told without weights."""

from pathlib import Path

import pytest

from shotstream.training.estimate import estimate
from shotstream.training.settings import read_recipe
from shotstream.training.workspace import STAGES, stages_of

from .conftest import tiny_recipe

pytestmark = pytest.mark.system

WAN = Path("wan-1.3b")


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_those_of_the_stages_as_they_run(finished):
    for stage in STAGES[1:]:
        told = estimate(tiny_recipe(), stage).parameters
        roles = finished.stage(stage).roles
        assert {name: total for name, (total, _) in told.items()} == {
            name: count(role.module) for name, role in roles.items()
        }


def test_the_paper_s_model_is_counted_as_it_is():
    recipe = read_recipe(WAN)
    assert stages_of(recipe) == ("teacher", "causal-init", "intra-shot", "inter-shot")
    total, learning = estimate(recipe, "teacher").parameters["teacher"]
    assert total == 1_418_996_800  # Wan 2.1 T2V 1.3B
    assert learning == 30 * (4 * 1536 * 1536 + 6 * 1536)  # four linear layers and two norms in each block
    roles = estimate(recipe, "inter-shot").parameters
    assert roles["teacher"] == (total, 0)
    blocks = 30 * 256 * (8 * 2 * 1536 + 2 * (1536 + 8960))
    assert roles["student"] == roles["critic"] == (total + blocks, blocks)


def test_more_devices_and_smaller_passes_take_less_of_each():
    recipe = read_recipe(WAN, ["causal_init.loop.checkpoint_activations=false"])
    one, many = (estimate(recipe, "causal-init", devices).memory for devices in (1, 32))
    assert one["weights"] == 4 * 1_418_996_800
    for purpose in ("weights", "gradients", "optimisers", "averages", "activations, roughly"):
        assert many[purpose] == pytest.approx(one[purpose] / 32)
    again = estimate(read_recipe(WAN), "causal-init", 32).memory
    assert again["activations, roughly"] < many["activations, roughly"] / 10


def test_batches_that_training_would_refuse_are_refused():
    with pytest.raises(ValueError, match="A batch of 64 cannot be shared equally by 3 processes"):
        estimate(read_recipe(WAN), "causal-init", 3)


def test_light_stages_run_on_one_device():
    assert estimate(tiny_recipe(), "judge", 8).devices == 1
    assert all(list(estimate(tiny_recipe(), stage).lines()) for stage in STAGES)
