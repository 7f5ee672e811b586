"""A model small enough for tests, and the recipe that it comes from."""

import pytest
import torch

from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.training.fresh_networks import make_captions, make_schedule, make_transformer
from shotstream.training.settings import Recipe

HEIGHT, WIDTH, FPS, SHOT_FRAMES = 64, 96, 12, 33


def tiny_tree(**changes):
    loop = {"steps": 2, "batch": 2, "log_every": 1, "checkpoint_every": 2, "sample_every": 100, "ema": 0.5}
    optimiser = {"warmup_steps": 1}
    stage = {"loop": loop, "optimiser": optimiser}
    network = {
        "layers": 1, "heads": 2, "head_size": 12, "feed_forward": 32, "text_width": 16, "text_layers": 1,
        "text_heads": 2,
    }  # fmt: skip
    world = {"height": HEIGHT, "width": WIDTH, "fps": FPS, "shot_frames": SHOT_FRAMES}
    return {
        "name": "films",
        "world": world,
        "autoencoder": {"latent_channels": 4},
        "teacher": {"network": network, **stage},
        "causal_init": {"pairs": 2, "ode_steps": 4, **stage},
        "intra_shot": {"critic_updates": 1, **stage},
        "inter_shot": {"critic_updates": 1, **stage},
        **changes,
    }


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A model with random weights for 64x96 pixels, shots of 33 frames, chunks of 9."""
    torch.manual_seed(0)
    recipe = Recipe.model_validate(tiny_tree())
    vae = TinyVideoAutoencoder(
        latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8), decoder_blocks=1
    )
    text = make_captions(recipe)
    pipeline = ShotStreamPipeline(
        make_transformer(recipe, vae),
        vae.eval(),
        text.text_encoder.eval(),
        text.tokenizer,
        make_schedule(recipe),
        fps=FPS,
        height=HEIGHT,
        width=WIDTH,
        caption_template="{setting} {prompt}",
    )
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(model_folder):
    from shotstream.data.films.model import open_encoder

    return open_encoder(str(model_folder), torch.device("cpu"))
