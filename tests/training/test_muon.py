import pytest
import torch
from torch import nn

from shotstream.training.muon import Muon, orthogonalised
from shotstream.training.optimiser import build_optimisers
from shotstream.training.settings import Optimiser

pytestmark = pytest.mark.unit


def test_singular_values_come_near_one_whatever_the_shape():
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 16, 40), (2, 40, 16), (1, 8, 8)):
        made = orthogonalised(torch.randn(shape, generator=generator))
        values = torch.linalg.svdvals(made)
        assert made.shape == shape
        assert values.min() > 0.3
        assert values.max() < 1.3


def test_iterating_on_gram_matrices_equals_the_iteration_on_the_matrix():
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64).float()
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    torch.testing.assert_close(orthogonalised(matrix[None])[0], x, atol=2e-4, rtol=1e-3)


def test_a_step_has_the_size_of_adamws_and_goes_on_from_its_state():
    def learn(steps: int, state: dict | None = None, weights: torch.Tensor | None = None):
        torch.manual_seed(0)
        layer = nn.Conv2d(4, 8, 3)
        if weights is not None:
            layer.weight.data.copy_(weights)
        optimiser = Muon([layer.weight], lr=0.1)
        if state is not None:
            optimiser.load_state_dict(state)
        generator = torch.Generator().manual_seed(5 if state is None else 6)
        for _ in range(steps):
            layer.weight.grad = torch.randn(layer.weight.shape, generator=generator)
            optimiser.step()
        return layer.weight.detach().clone(), optimiser.state_dict()

    torch.manual_seed(0)
    before = nn.Conv2d(4, 8, 3).weight.detach()
    after, state = learn(1)
    size = (after - before).square().mean().sqrt()
    assert 0.5 < size / (0.1 * 0.2) < 1.5
    one, _ = learn(1, state, after)
    assert not torch.equal(one, learn(1, None, after)[0]), "the average of the gradients is part of the state"


def test_kernels_of_convolutions_are_its_matrices_where_there_are_no_blocks():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    adamw, muon = build_optimisers(network, Optimiser(name="muon"))
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(4, 3, 3, 3)]
    assert len(adamw.param_groups[0]["params"]) == 3
