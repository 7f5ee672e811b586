"""What the autoencoder's stages compute: their loss, and clips whose latents are decoded in another order."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.training.autoencoder import shuffled
from shotstream.training.picture_losses import reconstruction_loss


@pytest.mark.unit
def test_pixels_that_move_count_more_and_the_others_less() -> None:
    target = torch.zeros(1, 4, 3, 8, 8)
    target[:, 2:, :, :, 4:] = 1  # the right half changes between the second picture and the third
    wrong = {side: target.clone() for side in ("moving", "still")}
    wrong["moving"][:, 2, :, :, 4:] += 0.5
    wrong["still"][:, 2, :, :, :4] += 0.5
    plain = [reconstruction_loss(frames, target, 0.0) for frames in wrong.values()]
    weighed = [reconstruction_loss(frames, target, 0.0, moving_weight=2.0) for frames in wrong.values()]
    assert plain[0] == plain[1]
    torch.testing.assert_close(weighed[0], 3 * weighed[1])
    mean = 1 + 2 * 0.25  # a quarter of the pixels changes before or after
    torch.testing.assert_close(weighed[1], plain[1] / mean)


@pytest.mark.unit
def test_frames_go_with_their_latents_into_the_other_order() -> None:
    """After a jump a latent's second frame stands for its first, too."""
    latents = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(2, 5, 3, 2, 2)
    number = torch.arange(17.0)  # frame 0 is latent 0's, frames 1 to 4 are latent 1's
    clips = number.view(1, 17, 1, 1, 1).expand(2, 17, 3, 16, 16)
    orders = set()
    for seed in range(40):
        made, frames = shuffled(latents, clips, torch.Generator().manual_seed(seed))
        order = [int(latent) for latent in made[0, :, 0, 0, 0]]
        orders.add(tuple(order))
        wanted: list[int] = []
        for before, latent in pairwise(order):
            own = [0] * 4 if latent == 0 else list(range(4 * latent - 3, 4 * latent + 1))
            wanted += own if latent == before + 1 else [own[1], *own[1:]]
        assert frames.shape == (2, 16, 3, 16, 16)
        assert frames[1, :, 0, 0, 0].tolist() == wanted
    assert len(orders) > 20
    assert any(latent == before + 1 for order in orders for before, latent in pairwise(order))


@pytest.mark.unit
def test_a_decoder_learns_to_believe_a_latent_more_than_what_came_before() -> None:
    """The law behind shuffling, on latents of noise: after a jump the frames are those of the latent."""
    torch.manual_seed(0)
    autoencoder = TinyVideoAutoencoder(
        4, encoder_widths=(8, 8), decoder_widths=(16, 16, 16), layout="shuffles"
    )
    clips = torch.rand(4, 9, 3, 16, 16).sub(0.5).mul(2).cumsum(dim=1).clamp(-1, 1)
    with torch.no_grad():
        latents = autoencoder.encode_clip(clips)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(autoencoder.decoder.parameters(), 3e-3)

    def after_a_jump() -> float:
        with torch.no_grad():
            frames = autoencoder.decode(latents[:, [2, 1]])[0][:, 4:]
        return float((frames - clips[:, 1:5])[:, 1:].abs().mean())

    before = after_a_jump()
    for _ in range(60):
        mixed, target = shuffled(latents, clips, generator)
        loss = reconstruction_loss(autoencoder.decode(mixed)[0][:, 4:], target, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert after_a_jump() < 0.8 * before
