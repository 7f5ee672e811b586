import pytest
import torch

from shotstream.evaluation.reconstruction import measure_reconstruction
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.unit


class Cells:
    """Cells of 8x8 pixels keep their mean colour, or with `exact` all pixels; groups of four frames."""

    def __init__(self, exact: bool):
        self.exact = exact

    def encode_clip(self, frames):  # [1, T, 3, H, W]
        padded = torch.cat([frames[:, :1].expand(-1, 3, -1, -1, -1), frames], dim=1)
        groups = padded.unflatten(1, (-1, 4)).flatten(2, 3)
        if self.exact:
            return groups
        means = torch.nn.functional.avg_pool2d(groups.flatten(0, 1), 8)
        return torch.nn.functional.interpolate(means, scale_factor=8).unflatten(0, groups.shape[:2])

    def encode_stills(self, frames):
        return torch.cat([self.encode_clip(frames[:, number, None]) for number in range(frames.shape[1])], 1)

    def open_decoder(self):
        return self

    def decode(self, latents):
        return latents.unflatten(2, (4, 3)).flatten(1, 2)[:, 3:]


def test_what_is_given_back_whole_has_no_error():
    stories = [sample_story(3, shots=1, frames=13)]
    measured = measure_reconstruction(Cells(exact=True), stories, height=32, width=48)
    assert measured["psnr"] > 60
    assert measured["psnr_stills_figures"] > 60
    assert measured["edge_energy"] == 1
    assert measured["chunk_jump"] == measured["chunk_jump_drawn"]


def test_coarse_cells_lose_figures_more_than_what_is_behind_them():
    stories = [sample_story(seed, shots=2, frames=13) for seed in range(2)]
    measured = measure_reconstruction(Cells(exact=False), stories, height=32, width=48)
    assert measured["psnr_figures"] < measured["psnr"] < measured["psnr_background"] < 40
    assert measured["edge_energy"] < 0.8
