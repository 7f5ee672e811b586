"""The rollout that serves users and trains agrees with the published one."""

from __future__ import annotations

import pytest
import torch

from shotstream.streaming.rollout import ShotRollout

from .conftest import Golden, assert_close

pytestmark = pytest.mark.law


@pytest.mark.parametrize("recording", [False, True], ids=["serving", "training"])
def test_shot_rollout(golden: Golden, recording: bool) -> None:
    """The context attends to each shot's caption, the shot to its own, here given as the only one."""
    facts, tensors, model = golden.facts, golden.tensors, golden.transformer
    context, shot = tensors["context_latents"], facts["target_shot_index"]
    text, index = golden.text("text_per_shot"), torch.tensor(facts["context_shot_index"])
    _, rows, columns = model.config["patch_size"]
    tokens = context.shape[3] // rows * (context.shape[4] // columns)
    cache = model.new_cache(batch=1, tokens_per_frame=tokens)
    for storage in (cache._keys, cache._values):
        storage.fill_(float("nan"))  # whatever is read and was never written shows
    noise = tensors["noise"].split(facts["frames_per_chunk"], dim=1)

    with torch.set_grad_enabled(recording):
        rollout = ShotRollout(model, golden.schedule, cache, text[:, shot : shot + 1], shot)
        rollout.fill_context(context, text, index, index)
        chunks = []
        for number in range(facts["chunks"]):
            again = tensors["rollout.renoise"][number]
            chunks.append(
                rollout.denoise(lambda step, n=number, again=again: again[step - 1] if step else noise[n])
            )
            rollout.add(chunks[-1])
    assert chunks[-1].requires_grad == recording
    assert_close(torch.cat(chunks, dim=1), tensors["rollout.x0"])
