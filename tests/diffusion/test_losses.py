"""Losses against values worked out element by element in plain Python floats."""

import pytest
import torch

from shotstream.diffusion.losses import (
    distribution_matching_loss,
    flow_matching_loss,
    regression_loss,
    stratified,
)

pytestmark = pytest.mark.unit

SHAPE = (2, 3, 1, 1, 2)


def numbers(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_flow_matching_loss_is_the_weighted_mean_square():
    flow, x0, noise = numbers(0), numbers(1), numbers(2)
    weight = torch.tensor([0.5, 2.0], dtype=torch.float64)
    total = 0.0
    for sample in range(2):
        squares = [
            (
                flow[sample, f, 0, 0, w].item()
                - (noise[sample, f, 0, 0, w].item() - x0[sample, f, 0, 0, w].item())
            )
            ** 2
            for f in range(3)
            for w in range(2)
        ]
        total += weight[sample].item() * sum(squares) / 6
    assert flow_matching_loss(flow, x0, noise, weight).item() == pytest.approx(total / 2, rel=1e-6)
    assert flow_matching_loss(noise - x0, x0, noise).item() == pytest.approx(0, abs=1e-12)


def test_regression_loss_counts_the_learnt_frames_only():
    x0, target = numbers(3), numbers(4)
    learnt = torch.tensor([[True, False, True], [False, False, True]])
    squares = [
        (x0[b, f, 0, 0, w].item() - target[b, f, 0, 0, w].item()) ** 2
        for b, f in ((0, 0), (0, 2), (1, 2))
        for w in range(2)
    ]
    assert regression_loss(x0, target, learnt).item() == pytest.approx(sum(squares) / 6, rel=1e-6)


def test_distribution_matching_moves_each_element_by_the_scaled_difference():
    x, real, fake = numbers(5).requires_grad_(), numbers(6), numbers(7)
    loss = distribution_matching_loss(x, real, fake)
    loss.backward()
    total = 0.0
    for b in range(2):
        places = [(f, w) for f in range(3) for w in range(2)]
        distance = sum(abs(x[b, f, 0, 0, w].item() - real[b, f, 0, 0, w].item()) for f, w in places) / 6
        for f, w in places:
            move = (fake[b, f, 0, 0, w].item() - real[b, f, 0, 0, w].item()) / distance
            assert x.grad[b, f, 0, 0, w].item() == pytest.approx(move / 12, rel=1e-5)
            total += move**2
    assert loss.item() == pytest.approx(0.5 * total / 12, rel=1e-5)


def test_stratified_draws_one_number_from_each_part():
    drawn = stratified(16, torch.Generator().manual_seed(0))
    assert sorted((drawn * 16).long().tolist()) == list(range(16))
    assert drawn.tolist() != sorted(drawn.tolist())
