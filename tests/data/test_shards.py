"""Shards: what the index names is there, whatever was interrupted."""

import pytest
import torch

from shotstream.data.shards import Shards, ShardWriter

pytestmark = pytest.mark.unit


def fill(folder, count, start=0):
    writer = ShardWriter(folder, {"seed": 1}, records_per_shard=3)
    for number in range(start, count):
        writer.add({"number": number}, {"x": torch.arange(4) + number})
    return writer


def test_round_trip(tmp_path):
    fill(tmp_path, 7).flush()
    shards = Shards(tmp_path)
    assert [record["number"] for record in shards.records] == list(range(7))
    assert torch.equal(shards.tensor(5, "x"), torch.arange(4) + 5)
    assert torch.equal(shards.tensor(5, "x")[1:3], torch.tensor([6, 7]))


def test_an_interrupted_writer_goes_on_after_the_last_whole_shard(tmp_path):
    fill(tmp_path, 5)  # never flushed: the second shard is lost
    assert len(Shards(tmp_path)) == 3
    writer = ShardWriter(tmp_path, {"seed": 1}, records_per_shard=3)
    assert writer.written == 3
    fill(tmp_path, 5, start=writer.written).flush()
    shards = Shards(tmp_path)
    assert [int(shards.tensor(i, "x")[0]) for i in range(5)] == list(range(5))


def test_a_folder_made_with_something_else_is_refused(tmp_path):
    ShardWriter(tmp_path, {"encoder": "a"})
    with pytest.raises(ValueError, match="delete that folder to make it anew"):
        ShardWriter(tmp_path, {"encoder": "b"})


def test_a_line_cut_off_in_the_index_is_made_again(tmp_path):
    fill(tmp_path, 3)
    with (tmp_path / "index.jsonl").open("a") as index:
        index.write('{"shard": "shard-0000')
    assert len(Shards(tmp_path)) == ShardWriter(tmp_path, {"seed": 1}).written == 3
