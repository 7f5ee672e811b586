"""Attention that is looked into: rows sum to 1, and nothing of the story changes."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.unit


def begun(pipeline, chunks=2, length=3):
    session = pipeline.open("a red fox", seed=3)
    list(session.shoot("runs", chunks=2))
    session.cut("sleeps", chunks=length)
    made = [session.next_chunk() for _ in range(chunks)]
    return session, made


def test_rows_sum_to_one_and_name_the_remembered_frames(pipeline):
    session, _ = begun(pipeline)
    shares = session.attention()
    layers = pipeline.transformer.config["num_layers"]
    assert shares.frames == session.running.record.made_from.context
    assert shares.layers.shape == (layers, len(shares.frames) + 1)
    assert np.allclose(shares.layers.sum(1), 1)
    assert (shares.layers > 0).all()
    assert np.allclose(shares.overall, shares.layers.mean(0))
    assert str(shares).count("\n") == len(shares.frames)
    assert "this shot: " in str(shares)


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_looking_changes_nothing_of_what_comes(pipeline, chunks):
    """Also where the window has slid."""
    looked, _ = begun(pipeline, chunks, length=6)
    other, _ = begun(pipeline, chunks, length=6)
    looked.attention()
    again = [(looked.next_chunk(), other.next_chunk()) for _ in range(2)]
    looked.attention()
    again += [(looked.next_chunk(), other.next_chunk()) for _ in range(0, 4 - chunks)]
    assert all(np.array_equal(one.frames, two.frames) for one, two in again)


def test_the_newest_chunk_sees_what_it_was_made_from(pipeline):
    """Asked before and after its own clean pass, which comes with the next chunk, it is the same."""
    session, _ = begun(pipeline, 1)
    before = session.attention()
    session.next_chunk()
    after = session.attention(0)
    assert np.allclose(before.layers, after.layers, atol=1e-6)
    assert not np.allclose(before.layers, session.attention(1).layers)


def test_what_cannot_be_looked_into_is_said(pipeline):
    session = pipeline.open("a red fox", seed=3)
    with pytest.raises(ValueError, match="no shot is running that has a chunk"):
        session.attention()
    session, _ = begun(pipeline, 1)
    with pytest.raises(ValueError, match="chunk 1 cannot be looked into: of this shot chunks 0 to 0"):
        session.attention(1)
