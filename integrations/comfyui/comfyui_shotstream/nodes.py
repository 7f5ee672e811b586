"""The nodes: Load, LoRA, Story, Shot, Memory, Retake, Direct, Continuity."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from shotstream.loading.text_source import TEXT_PLACES
from shotstream.media.video import write_video
from shotstream.streaming.speed import MODES

from . import host
from .chain import RULES, Chain, MemoryStep, RetakeStep, ShotStep, StoryStart, parse_pins, parse_redirects
from .loading import LoadedModel, LoraUse, load_model, weights_key
from .making import Film, describe, make_film

CATEGORY = "ShotStream"
MOST_SEED = 2**53 - 1
MODEL, LORAS, STORY, SHOTS, FILM = (
    "SHOTSTREAM_MODEL",
    "SHOTSTREAM_LORAS",
    "SHOTSTREAM_STORY",
    "SHOTSTREAM_SHOTS",
    "SHOTSTREAM_FILM",
)


def _text(tooltip: str, default: str = "", *, lines: bool = True) -> tuple[str, dict[str, Any]]:
    return "STRING", {"default": default, "multiline": lines, "tooltip": tooltip}


def _number(tooltip: str, default: int, least: int, most: int) -> tuple[str, dict[str, Any]]:
    return "INT", {"default": default, "min": least, "max": most, "tooltip": tooltip}


class _Node:
    """What all nodes have in common."""

    CATEGORY = CATEGORY
    FUNCTION = "run"


class ShotStreamLora(_Node):
    """Adds a LoRA to a stack."""

    DESCRIPTION = "Adds a LoRA, with its strength, to those that Load ShotStream loads."
    RETURN_TYPES = (LORAS,)
    RETURN_NAMES = ("loras",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        strength = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.05}
        return {
            "required": {"lora": (host.lora_names(),), "strength": ("FLOAT", strength)},
            "optional": {"loras": (LORAS, {"tooltip": "LoRAs that come before it."})},
        }

    def run(self, lora: str, strength: float, loras: tuple[LoraUse, ...] = ()) -> tuple[tuple[LoraUse, ...]]:
        """Do it."""
        return ((*loras, LoraUse(host.find_lora(lora), strength)),)


class ShotStreamLoad(_Node):
    """Loads a model."""

    DESCRIPTION = "Loads a model: mini comes with the package; folders lie in models/shotstream."
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        places = ["auto", *TEXT_PLACES]
        return {
            "required": {
                "model": (host.model_names(), {"default": "mini"}),
                "mode": (["auto", *MODES], {"default": "auto", "tooltip": "How it is computed."}),
                "text_encoder": (places, {"default": "auto", "tooltip": "Where the text encoder lives."}),
            },
            "optional": {
                "loras": (LORAS,),
                "folder": _text(
                    "Instead of the model above: a folder, or owner/name on the hub.", lines=False
                ),
                "device": _text("auto, cpu, cuda, cuda:1, ...", "auto", lines=False),
                "dtype": (["auto", "float32", "bfloat16", "float16"], {"default": "auto"}),
            },
        }

    @classmethod
    def IS_CHANGED(
        cls,
        model: str | None = None,
        mode: str | None = None,
        text_encoder: str | None = None,
        loras: Any = None,
        folder: str | None = "",
        device: Any = None,
        dtype: Any = None,
    ) -> str:
        """Another answer means that the weights in the folder have changed."""
        try:
            return weights_key((folder or "").strip() or model or "mini")
        except (OSError, ValueError):
            return ""  # what is wrong is said when it is loaded

    def run(
        self,
        model: str,
        mode: str,
        text_encoder: str,
        loras: tuple[LoraUse, ...] = (),
        folder: str = "",
        device: str = "auto",
        dtype: str = "auto",
    ) -> tuple[LoadedModel]:
        """Do it."""
        return (load_model(folder.strip() or model, device, dtype, mode, text_encoder, tuple(loras)),)


class ShotStreamStory(_Node):
    """Says what holds for a whole story."""

    DESCRIPTION = "Who and where, the size of the pictures, and the seed: goes with every shot."
    RETURN_TYPES = (STORY,)
    RETURN_NAMES = ("story",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        return {
            "required": {
                "setting": _text("Where and when.", "In a meadow on a sunny day."),
                "cast": _text("Who: put before the setting.", "An orange rabbit."),
                "seed": ("INT", {"default": 0, "min": 0, "max": MOST_SEED, "control_after_generate": True}),
                "height": _number("In pixels; 0 for the size that the model was trained at.", 0, 0, 4096),
                "width": _number("In pixels; 0 for the size that the model was trained at.", 0, 0, 4096),
            }
        }

    def run(self, setting: str, cast: str, seed: int, height: int, width: int) -> tuple[StoryStart]:
        """Do it."""
        words = " ".join(filter(None, (cast.strip(), setting.strip())))
        return (StoryStart(words, seed, height, width),)


class ShotStreamShot(_Node):
    """Adds a shot."""

    DESCRIPTION = (
        "Cuts to a new shot. Chain one after the other; a changed one remakes it and those after it."
    )
    RETURN_TYPES = (SHOTS,)
    RETURN_NAMES = ("shots",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        seconds = {"default": 0.0, "min": 0.0, "max": 120.0, "step": 0.25}
        return {
            "required": {
                "prompt": _text("What happens in the shot.", "Wide shot of the rabbit waving hello."),
                "seconds": ("FLOAT", {**seconds, "tooltip": "Rounded up to chunks; 0 as long as trained."}),
                "seed": _number("Of this shot; -1 for the story's.", -1, -1, MOST_SEED),
            },
            "optional": {
                "shots": (SHOTS, {"tooltip": "What comes before it."}),
                "redirects": _text("Other prompts later in the shot, a line each. 2: The rabbit sits down."),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, prompt: str | None = None, redirects: str | None = None) -> bool | str:
        """Say what is wrong before anything is made; None stands for what other nodes will give."""
        if prompt is not None and not prompt.strip():
            return "the prompt is empty; say what is to be seen"
        return _mistake(parse_redirects, redirects)

    def run(
        self, prompt: str, seconds: float, seed: int, shots: Chain | None = None, redirects: str = ""
    ) -> tuple[Chain]:
        """Do it."""
        return ((shots or Chain()).then(ShotStep(prompt, seconds, seed, parse_redirects(redirects))),)


class ShotStreamMemory(_Node):
    """Says what later shots are made from."""

    DESCRIPTION = "What the shots after it remember: a rule, pinned frames, pictures of your own."
    RETURN_TYPES = (SHOTS,)
    RETURN_NAMES = ("shots",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        rule = {
            "default": "spread",
            "tooltip": "spread: over all earlier shots, as trained; opening: the story's first frame, too; "
            "none: pins and references only.",
        }
        return {
            "required": {
                "rule": (list(RULES), rule),
                "pins": _text("Frames of shots before it, SHOT:FRAME from 0, e.g. 0:8 1:0.", lines=False),
            },
            "optional": {
                "shots": (SHOTS, {"tooltip": "What comes before it."}),
                "references": ("IMAGE", {"tooltip": "Pictures that all shots after it are made from."}),
                "reference_prompt": _text("What is in them; empty goes by each shot's prompt.", lines=False),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, pins: str | None = None) -> bool | str:
        """Say what is wrong before anything is made; None stands for what other nodes will give."""
        return _mistake(parse_pins, pins)

    def run(
        self,
        rule: Any,
        pins: str,
        shots: Chain | None = None,
        references: Tensor | None = None,
        reference_prompt: str = "",
    ) -> tuple[Chain]:
        """Do it."""
        pictures = () if references is None else tuple(_to_pictures(references))
        step = MemoryStep(rule, parse_pins(pins), pictures, reference_prompt)
        return ((shots or Chain()).then(step),)


class ShotStreamRetake(_Node):
    """Makes a shot anew."""

    DESCRIPTION = "Makes a shot anew. The others stay as they are; shots chained after this node remember it."
    RETURN_TYPES = (SHOTS,)
    RETURN_NAMES = ("shots",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        return {
            "required": {
                "shots": (SHOTS, {"tooltip": "The story so far."}),
                "shot": _number("Number of the shot, from 0.", 0, 0, 9999),
                "seed": _number(
                    "Of the new take; -1 for the former's (its noise differs all the same).",
                    -1,
                    -1,
                    MOST_SEED,
                ),
                "prompt": _text("What happens in it; empty for what the former take was told."),
            }
        }

    def run(self, shots: Chain, shot: int, seed: int, prompt: str) -> tuple[Chain]:
        """Do it."""
        return (shots.then(RetakeStep(shot, seed, prompt)),)


class ShotStreamDirect(_Node):
    """Makes the film."""

    DESCRIPTION = "Makes the film, with a preview while it streams. Shots that an earlier run made are kept."
    RETURN_TYPES = ("IMAGE", "VIDEO", "LATENT", "FLOAT", "STRING", FILM)
    RETURN_NAMES = ("images", "video", "latents", "fps", "file", "film")
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        return {"required": {"model": (MODEL,), "story": (STORY,), "shots": (SHOTS,)}}

    def run(self, model: LoadedModel, story: StoryStart, shots: Chain) -> dict[str, Any]:
        """Do it."""
        film = make_film(model, story, shots)
        frames = film.frames()
        path = host.temporary_folder() / f"shotstream_{film.key[:16]}.mp4"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames, film.fps)
        latents = torch.cat([shot.latents for shot in film.shots], dim=2)
        shown = {"filename": path.name, "subfolder": "", "type": "temp"}
        result = (_to_images(frames), host.video_of(path), {"samples": latents}, film.fps, str(path), film)
        return {"ui": {"images": [shown], "animated": (True,)}, "result": result}


class ShotStreamContinuity(_Node):
    """Shows how the shots of a film hang together."""

    DESCRIPTION = "What a shot was made from, the frames on both sides of every cut, and a report."
    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING")
    RETURN_NAMES = ("remembered", "cuts", "report")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node takes."""
        return {
            "required": {"film": (FILM,), "shot": _number("Whose remembered frames, from 0.", 1, 0, 9999)}
        }

    def run(self, film: Film, shot: int) -> tuple[Tensor, Tensor, str]:
        """Do it.

        Raises:
            ValueError: If there is no such shot.
        """
        if shot >= len(film.shots):
            raise ValueError(f"the film has no shot {shot}; it has {len(film.shots)}, numbered from 0")
        blank = np.zeros_like(film.shots[0].frames[0])
        remembered = [frame.pixels for frame in film.shots[shot].made_from] or [blank]
        pairs = zip(film.shots, film.shots[1:], strict=False)
        cuts = [np.concatenate([before.frames[-1], after.frames[0]], axis=1) for before, after in pairs]
        cuts = cuts or [np.concatenate([blank, blank], axis=1)]
        return _to_images(np.stack(remembered)), _to_images(np.stack(cuts)), describe(film)


def _to_images(pictures: np.ndarray) -> Tensor:
    """ComfyUI's IMAGE, float32 ``[T, H, W, 3]`` in [0, 1], of uint8 pictures."""
    return torch.from_numpy(pictures.astype(np.float32) / 255)


def _to_pictures(images: Tensor) -> np.ndarray:
    """Pictures, uint8 ``[T, H, W, 3]``, of ComfyUI's IMAGE."""
    return (images[..., :3].cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _mistake(parse: Any, text: str | None) -> bool | str:
    try:
        parse(text or "")
    except ValueError as error:
        return str(error)
    return True


NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        ShotStreamLoad,
        ShotStreamLora,
        ShotStreamStory,
        ShotStreamShot,
        ShotStreamMemory,
        ShotStreamRetake,
        ShotStreamDirect,
        ShotStreamContinuity,
    )
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ShotStreamLoad": "Load ShotStream",
    "ShotStreamLora": "ShotStream LoRA",
    "ShotStreamStory": "ShotStream Story",
    "ShotStreamShot": "ShotStream Shot",
    "ShotStreamMemory": "ShotStream Memory",
    "ShotStreamRetake": "ShotStream Retake",
    "ShotStreamDirect": "ShotStream Direct",
    "ShotStreamContinuity": "ShotStream Continuity",
}
