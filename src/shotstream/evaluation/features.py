"""Pictures and captions to features, by published models whose weights are here or can be fetched.

Legend: T frames, S captions, D width of a feature.
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from huggingface_hub import constants
from huggingface_hub.utils import get_session
from torch import Tensor
from torch.nn import functional
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, Dinov2Model

from shotstream.evaluation.frames import check_frames
from shotstream.loading.folders import shorten

_HUB_SECONDS = 5.0
"""How long the hub is given to answer."""


class MissingExtractorError(OSError):
    """A model that features come from cannot be had; the message names it and says how to fetch it."""


class FeatureExtractor(Protocol):
    """Whatever turns the frames of a shot into features."""

    @property
    def name(self) -> str:
        """What a report calls it; names the weights."""
        ...

    def __call__(self, frames: np.ndarray) -> Tensor:
        """Pictures, uint8 [T, H, W, 3], to features of length 1, float32 [T, D] on the CPU."""
        ...


class _PictureModel(ABC):
    """A vision model of transformers, loaded when it is first used.

    The *whole* picture is resized to the square that the model takes. The models' own recipes crop the square
    out of the middle, which would hide what happens at the sides of a wide picture.

    Args:
        model: Name on the hub, or a folder. ``HF_HUB_OFFLINE=1`` keeps it to what was fetched before.
        device: Where it runs.
        batch_frames: Frames at a time.
        local_files_only: Never fetch.
    """

    architecture: ClassVar[Any]

    def __init__(
        self,
        model: str,
        *,
        device: torch.device | str = "cpu",
        batch_frames: int = 32,
        local_files_only: bool = False,
    ) -> None:
        self.name = self._model = str(model)
        self._device = device
        self._batch_frames = batch_frames
        self._local_files_only = local_files_only

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> Tensor:
        """Pictures, uint8 [T, H, W, 3], to features of length 1, float32 [T, D] on the CPU.

        Raises:
            MissingExtractorError: If the weights cannot be had.
            ValueError: If `frames` are no pictures.
        """
        check_frames(frames)
        starts = range(0, len(frames), self._batch_frames)
        batches = (self._pixels(frames[start : start + self._batch_frames]) for start in starts)
        return functional.normalize(torch.cat([self._embed(batch).cpu() for batch in batches]), dim=-1)

    @abstractmethod
    def _embed(self, pixels: Tensor) -> Tensor:
        """Features [T, D] of prepared pictures [T, 3, side, side]."""

    def _pixels(self, frames: np.ndarray) -> Tensor:
        square = dict(self._processor.crop_size)
        prepared = self._processor(
            list(frames),
            size=square,
            do_center_crop=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )
        return prepared["pixel_values"].to(self._device)

    @cached_property
    def _network(self) -> Any:
        network, told = self._load(self.architecture, dtype=torch.float32, output_loading_info=True)
        if told["missing_keys"]:  # the library goes on with random numbers in their place
            lacking = sorted(told["missing_keys"])[0]
            raise MissingExtractorError(
                f"{self.name} is no {self.architecture.__name__}: it lacks {lacking}; name another model."
            )
        return network.eval().to(self._device)

    @cached_property
    def _processor(self) -> Any:
        return self._load(AutoImageProcessor, backend="pil")

    def _load(self, kind: Any, **options: Any) -> Any:
        """Load a part of the model from this machine, or else from the hub if that answers."""
        try:
            try:
                return kind.from_pretrained(self._model, local_files_only=True, **options)
            except OSError:
                if self._local_files_only or not _hub_answers():
                    raise
                return kind.from_pretrained(self._model, **options)
        except OSError as error:
            raise MissingExtractorError(
                f"the model {self._model!r} is not here and cannot be fetched ({shorten(error)}); "
                f"with a network, run: hf download {self._model} (or name a folder that holds it)"
            ) from error
        except ImportError as error:
            raise ImportError('Features need Pillow: pip install "shotstream[evaluate]"') from error


@cache
def _hub_answers() -> bool:
    """Whether the hub can be reached; the libraries would try for minutes."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_HUB_SECONDS)
    except Exception:  # of whatever library asks
        return False
    return True


class DinoFeatures(_PictureModel):
    """What is in the picture, by DINOv2: the normalised class token."""

    architecture = Dinov2Model

    def __init__(self, model: str = "facebook/dinov2-base", **options: Any) -> None:
        super().__init__(model, **options)

    def _embed(self, pixels: Tensor) -> Tensor:
        return self._network(pixel_values=pixels).pooler_output  # [T, D]


class ClipFeatures(_PictureModel):
    """Pictures and captions in one space, by CLIP."""

    architecture = CLIPModel

    def __init__(self, model: str = "openai/clip-vit-base-patch32", **options: Any) -> None:
        super().__init__(model, **options)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Tensor:
        """Captions to features of length 1, float32 [S, D] on the CPU.

        A caption is cut where the model stops reading (77 tokens).

        Raises:
            MissingExtractorError: If the weights cannot be had.
        """
        longest = self._network.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(captions), padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(self._device)
        text = self._network.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        return functional.normalize(text.pooler_output.cpu(), dim=-1)

    def _embed(self, pixels: Tensor) -> Tensor:
        return self._network.get_image_features(pixel_values=pixels).pooler_output  # [T, D]

    @cached_property
    def _tokenizer(self) -> Any:
        return self._load(AutoTokenizer)


class AestheticScores(ClipFeatures):
    """How good pictures look to LAION's predictor, as VBench asks it: a linear head on CLIP ViT-L/14.

    Args:
        head: The head, a file with `weight` [1, D] and `bias` [1], such as ``sa_0_4_vit_l_14_linear.pth`` of
            LAION-AI/aesthetic-predictor.
        model: The CLIP model that it was trained on.
        **options: As for the other models.
    """

    def __init__(self, head: Path, model: str = "openai/clip-vit-large-patch14", **options: Any) -> None:
        super().__init__(model, **options)
        self.name = f"{head.name} on {self.name}"
        self._file = head

    def __call__(self, frames: np.ndarray) -> Tensor:
        """Pictures, uint8 [T, H, W, 3], to scores, float32 [T] on the CPU, about 0 to 1.

        Raises:
            MissingExtractorError: If the weights cannot be had.
            ValueError: If `frames` are no pictures.
        """
        weight, bias = self._head
        return (super().__call__(frames) @ weight.T + bias)[:, 0] / 10

    @cached_property
    def _head(self) -> tuple[Tensor, Tensor]:
        try:
            state = torch.load(self._file, map_location="cpu", weights_only=True)
            return state["weight"].float(), state["bias"].float()
        except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, KeyError, TypeError) as error:
            raise MissingExtractorError(
                f"{self._file} is no linear head ({shorten(error)}); give sa_0_4_vit_l_14_linear.pth of "
                "LAION-AI/aesthetic-predictor"
            ) from error
