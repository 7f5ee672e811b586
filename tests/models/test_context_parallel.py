"""Two devices that share out the tokens of every frame give what one gives."""

from __future__ import annotations

import socket

import pytest
import torch

from .two_devices import tell, tell_in_two

pytestmark = pytest.mark.system


def test_two_devices_tell_what_one_tells(pipeline, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(tell_in_two, (port, tmp_path), nprocs=2)
    together = torch.load(tmp_path / "latents.pt", weights_only=True)
    torch.testing.assert_close(together, tell(pipeline), atol=1e-4, rtol=1e-4)


def test_uneven_shares_are_refused(pipeline, monkeypatch):
    monkeypatch.setattr(type(pipeline.transformer), "token_shares", 3)
    with pytest.raises(ValueError, match="4 tokens per frame cannot be shared out among 3 devices"):
        pipeline.transformer.new_cache(batch=1, tokens_per_frame=4)
