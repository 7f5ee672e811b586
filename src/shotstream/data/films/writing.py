"""Encoded stories, one file each until there are enough for a shard; then shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from shotstream.data.film_shards import ClipFormat, FilmSplit
from shotstream.data.films.artefacts import Artefacts
from shotstream.data.films.encode import StoryPictures, checksum, encode_story, read_pictures, record_of
from shotstream.data.films.model import EncodingModel, open_encoder
from shotstream.data.films.stories import FilmStory
from shotstream.data.films.strip import write_strip
from shotstream.data.shards import Shards, ShardWriter, captions_of
from shotstream.machine.cluster import Cluster
from shotstream.media.files import atomic_path, whole_folder, write_errors

RECORDS_PER_SHARD = 50
READ_AHEAD = 2
"""Stories whose pictures are read while another is encoded."""


class StoryEncoder:
    """Encodes stories of films, each into a file of its own.

    Args:
        folder: Gets ``pictures/``.
        artefacts: Where encoded stories wait.
        model: What encodes them.
    """

    def __init__(self, folder: Path, artefacts: Artefacts, model: EncodingModel):
        self._root, self._artefacts, self._model = folder, artefacts, model

    def write(self, key: str, story: FilmStory, pictures: StoryPictures) -> None:
        """Encode a story; when this returns it is on the disk."""
        tensors = encode_story(pictures, self._model.autoencoder, self._model.device)
        if self._model.embedder is not None:
            tensors |= self._model.embedder.embed(captions_of(story.words, self._model.embedder.template))
        write_strip(self._root / "pictures" / f"{key}.jpg", pictures.stills)
        path = waiting_place(self._artefacts, key)
        with atomic_path(path) as part, write_errors(path):
            save_file(tensors, part)

    def __call__(self, keyed: tuple[str, FilmStory]) -> None:
        """Read the pictures of a story and encode it."""
        key, story = keyed
        self.write(key, story, read_pictures(story, self._model.format))


def _story_encoder(folder: Path, artefacts: Path, open_there: Callable[[], EncodingModel]) -> StoryEncoder:
    return StoryEncoder(folder, Artefacts(artefacts), open_there())


def waiting_place(artefacts: Artefacts, key: str) -> Path:
    """Where an encoded story waits until it is in a shard."""
    return artefacts.path("latents", key, ".safetensors")


class StoryShards:
    """The shards of a split of stories, brought to what the stories are now.

    Args:
        folder: Of the shards.
        split: Which part.
        stories: Keys and stories, in the order in which they are written.
        artefacts: Where encoded stories wait.
        model: What encodes them.
    """

    def __init__(
        self,
        folder: Path,
        split: FilmSplit,
        stories: Sequence[tuple[str, FilmStory]],
        artefacts: Artefacts,
        model: EncodingModel,
    ):
        self._root, self._folder, self._stories = folder, folder / split, stories
        self._artefacts, self._model = artefacts, model
        self._drop_unwanted()
        self._written = {record["key"] for record in self._records()}

    @property
    def missing(self) -> list[tuple[str, FilmStory]]:
        """Stories that are still to be encoded."""
        return [
            (key, story)
            for key, story in self._stories
            if key not in self._written and not self._waiting(key).exists()
        ]

    def write(self, cluster: Cluster | None = None) -> Iterator[FilmStory]:
        """Encode what is missing, and put all into shards.

        Args:
            cluster: Encodes, if there is one; its machines load the model by its name, and see the folder.

        Yields:
            Every story when its latents are on disk.
        """
        for story in self._encode(self.missing) if cluster is None else self._encode_there(cluster):
            yield story
            if len(list(self._artefacts.folder.glob("latents/*.safetensors"))) >= RECORDS_PER_SHARD:
                self._pack(whole=True)
        self._pack()

    def _encode(self, stories: Sequence[tuple[str, FilmStory]]) -> Iterator[FilmStory]:
        encode = StoryEncoder(self._root, self._artefacts, self._model)
        for key, story, pictures in self._read_ahead(stories):
            encode.write(key, story, pictures)
            yield story

    def _encode_there(self, cluster: Cluster) -> Iterator[FilmStory]:
        missing, embed = self.missing, self._model.embedder is not None
        open_there = partial(open_encoder, self._model.name, torch.device(cluster.device), embed)
        make = partial(_story_encoder, self._root, self._artefacts.folder, open_there)
        with cluster.workers(make) as processes:
            for number, _ in processes.map(missing):
                yield missing[number][1]

    def _pack(self, *, whole: bool = False) -> None:
        """Move encoded stories into shards, in order; those after one that is missing wait.

        Args:
            whole: Only as many as fill a shard.
        """
        writer = ShardWriter(self._folder, self._model.made_with, RECORDS_PER_SHARD)
        packed: list[Path] = []
        for key, story in self._stories:
            path = self._waiting(key)
            if key in self._written:
                path.unlink(missing_ok=True)  # a kill came between shard and here
                continue
            if not path.exists():
                break
            tensors = load_file(path)
            record = self._record(key, story, tensors)
            writer.add(record, tensors)
            packed.append(path)
        if whole:
            packed = packed[: len(packed) - len(packed) % RECORDS_PER_SHARD]
        else:
            writer.flush()
        self._written.update(path.stem for path in packed)
        for path in packed:
            path.unlink()

    def _record(self, key: str, story: FilmStory, tensors: dict[str, Tensor]) -> dict[str, Any]:
        made: ClipFormat = self._model.format
        record = record_of(story, made, key)
        if "captions" in tensors:
            record["caption_tokens"] = tensors.pop("caption_tokens").tolist()
        return record | {"checksum": checksum(tensors)}

    def _drop_unwanted(self) -> None:
        """Write shards anew, from themselves, without stories that are no longer there."""
        records, wanted = self._records(), {key for key, _ in self._stories}
        if all(record["key"] in wanted for record in records):
            return
        old = Shards(self._folder)
        with whole_folder(self._folder) as part:
            writer = ShardWriter(part, self._model.made_with, RECORDS_PER_SHARD)
            for number, record in enumerate(records):
                if record["key"] in wanted:
                    tensors = {name: old.tensor(number, name).clone() for name in old.names(number)}
                    writer.add({k: v for k, v in record.items() if k != "shard"}, tensors)
            writer.flush()

    def _records(self) -> list[dict[str, Any]]:
        ShardWriter(self._folder, self._model.made_with)  # refuses shards of another model
        return Shards(self._folder).records

    def _waiting(self, key: str) -> Path:
        return waiting_place(self._artefacts, key)

    def _read_ahead(
        self, stories: Sequence[tuple[str, FilmStory]]
    ) -> Iterator[tuple[str, FilmStory, StoryPictures]]:
        """Read the pictures of stories in order, some ahead of their use."""
        left = iter(stories)
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="shotstream-films") as executor:
            reading: list[tuple[str, FilmStory, Future[StoryPictures]]] = []
            while True:
                for key, story in islice(left, READ_AHEAD - len(reading)):
                    reading.append((key, story, executor.submit(read_pictures, story, self._model.format)))
                if not reading:
                    return
                key, story, pictures = reading.pop(0)
                yield key, story, pictures.result()
