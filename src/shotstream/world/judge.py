"""The judge: reads back from the frames of a shot what the story world drew, or a model made of a prompt.

It knows nothing of captions: it is trained on drawn shots, as they are and through the autoencoder, and asked
the same questions of generated ones. A judge keeps the questions that it was trained for in its config: the
world grows, and an older judge knows fewer of them, and fewer answers. What it was never taught is not asked.

Legend: B batch, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from shotstream.world import vocabulary

NOBODY = "nobody"
UNCLEAR = "unclear"
"""The answer where nothing can be said: a melted face, two shots laid over one another."""
CLEAN, SPOILT = "clean", "spoilt"
"""Whether figures are whole and sharp."""
STANDS = ("first", "second")
"""A shot shows one or two characters; alone, a character is the first, together the first is the left one."""
OF_THE_SHOT: Mapping[str, tuple[str, ...]] = {
    "place": tuple(vocabulary.PLACES),
    "time": tuple(vocabulary.TIMES),
    "landmark": tuple(name for pair in vocabulary.LANDMARKS.values() for name in pair),
    "side": vocabulary.SIDES,
    "weather": tuple(vocabulary.WEATHER),
    "framing": tuple(vocabulary.FRAMINGS),
    "action": tuple(vocabulary.ACTIONS),
    "feeling": tuple(vocabulary.FEELINGS),
    "prop": tuple(vocabulary.PROPS),
}
"""Questions about a shot, with the answers that are right of a drawn one."""
OF_A_CHARACTER: Mapping[str, tuple[str, ...]] = {
    "kind": tuple(vocabulary.KINDS),
    "colour": tuple(vocabulary.COLOURS),
    "accessory": tuple(vocabulary.ACCESSORIES),
    "accessory_colour": (*vocabulary.ACCESSORY_COLOURS, vocabulary.NONE),
    "pattern": vocabulary.PATTERNS,
}
"""Questions about each character, likewise."""
Questions = Mapping[str, tuple[str, ...]]
"""Question -> possible answers."""
QUESTIONS: Questions = {
    **{name: (*answers, UNCLEAR) for name, answers in OF_THE_SHOT.items()},
    **{
        f"{stand} {name}": (*answers, *((NOBODY,) if stand == "second" else ()), UNCLEAR)
        for stand in STANDS
        for name, answers in OF_A_CHARACTER.items()
    },
    "figures": (CLEAN, SPOILT),
}
"""All that can be asked about the world of today."""


def true_answers(attributes: dict[str, Any], shot: int) -> dict[str, str]:
    """What is to be seen in a shot (from 0) of a story, from `WorldStory.attributes()`.

    What captions leave open has no answer (None). Stories written down before there were weather, feelings
    and props have a clear sky, and calm heroes with empty hands.
    """
    story, told = attributes, attributes["shots"][shot]
    answers = {
        "place": story["place"],
        "time": story["time"],
        "weather": story.get("weather", "clear"),
        **story["hidden"],
        "framing": told["framing"],
        "action": told["action"],
        "feeling": told.get("feeling", vocabulary.CALM),
        "prop": told.get("prop", vocabulary.NONE),
        "figures": CLEAN,
    }
    for order, stand in enumerate(STANDS):
        seen = told["subjects"][order : order + 1]
        facts = {name: NOBODY for name in OF_A_CHARACTER}
        for character in (story["cast"][index] for index in seen):
            facts = {k: v for k, v in character.items() if k != "hidden"} | character["hidden"]
        answers |= {f"{stand} {name}": value for name, value in facts.items()}
    return answers


class Judge(ModelMixin, ConfigMixin):
    """A few convolutions on every frame, two over time, one linear reading per question."""

    @register_to_config
    def __init__(
        self,
        height: int = 64,
        width: int = 96,
        frame_step: int = 2,
        widths: tuple[int, int, int, int] = (32, 64, 128, 128),
        features: int = 256,
        questions: Sequence[tuple[str, Sequence[str]]] = tuple(QUESTIONS.items()),
    ):
        """Build a judge with random weights.

        Args:
            height: Pixels that frames are resized to.
            width: Pixels that frames are resized to.
            frame_step: It looks at one frame of so many.
            widths: Channels after each halving of the picture.
            features: D, of a frame and of a shot.
            questions: Pairs of a question and its possible answers, in order (a config file sorts names, not
                pairs). By default all of today's.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for below, channels in zip((3, *widths[:-1]), widths, strict=True):
            layers += [
                nn.Conv2d(below, channels, 3, stride=2, padding=1),
                nn.GroupNorm(8, channels),
                nn.SiLU(),
            ]
        cells = (height // 16) * (width // 16)
        self.look = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * cells, features))
        self.follow = nn.ModuleList(
            nn.Conv1d(features, features, 3, padding=gap, dilation=gap) for gap in (1, 3)
        )
        self.questions: Questions = {name: tuple(answers) for name, answers in questions}
        self.readings = nn.ModuleList(
            nn.Linear(2 * features, len(answers)) for answers in self.questions.values()
        )

    def frame_features(self, frames: Tensor) -> Tensor:
        """What single frames look like: `[B, T, 3, H, W]` in [-1, 1] to `[B, T, D]`."""
        return self.look(self._fit(frames).flatten(0, 1)).unflatten(0, frames.shape[:2])

    def prepare(self, frames: Tensor) -> Tensor:
        """Pick the frames it looks at, in its size: `[B, T, 3, H, W]` to `[B, T / frame_step, 3, h, w]`."""
        return self._fit(frames[:, :: self.config["frame_step"]])

    def _fit(self, frames: Tensor) -> Tensor:
        size = (self.config["height"], self.config["width"])
        if frames.shape[-2:] == size:
            return frames
        pictures = functional.interpolate(frames.flatten(0, 1), size, mode="bilinear", antialias=True)
        return pictures.unflatten(0, frames.shape[:2])

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Read shots.

        Args:
            frames: `[B, T, 3, H, W]` in [-1, 1].

        Returns:
            Logits `[B, answers]` of every question.
        """
        return self.read(self.prepare(frames))

    def read(self, prepared: Tensor) -> dict[str, Tensor]:
        """Read shots that `prepare` has made; a single frame will do. Returns what `forward` does."""
        return self.read_features(self.frame_features(prepared))

    def read_features(self, features: Tensor) -> dict[str, Tensor]:
        """Read shots of which `frame_features` are known, `[B, T, D]`. Returns what `forward` does."""
        x = features.transpose(1, 2)  # [B, D, T]
        for follow in self.follow:
            x = x + follow(functional.silu(x))
        seen = torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=1)  # [B, 2 D]
        return {name: reading(seen) for name, reading in zip(self.questions, self.readings, strict=True)}

    @torch.no_grad()
    def answers(self, frames: Tensor) -> list[dict[str, str]]:
        """The most likely answer of every question, for each of B shots `[B, T, 3, H, W]` in [-1, 1]."""
        best = {name: logits.argmax(dim=1).tolist() for name, logits in self(frames).items()}
        return [
            {name: self.questions[name][numbers[shot]] for name, numbers in best.items()}
            for shot in range(len(frames))
        ]


def can_answer(questions: Questions, question: str, truth: str | None) -> bool:
    """Whether a judge of these questions knows the question, and the true answer as a possible one."""
    return truth in questions.get(question, ())


def judge_loss(
    logits: Mapping[str, Tensor], truth: list[dict[str, str]], questions: Questions = QUESTIONS
) -> Tensor:
    """Mean cross entropy over questions and shots (a scalar).

    Args:
        logits: Question -> `[B, answers]`.
        truth: What is true of each of B shots; where the judge does not know that answer, it is not asked.
        questions: Those of the judge.
    """
    losses = []
    for name, values in logits.items():
        known = [can_answer(questions, name, answers.get(name, "")) for answers in truth]
        if any(known):
            right = [
                questions[name].index(answers[name])
                for answers, asked in zip(truth, known, strict=True)
                if asked
            ]
            asked = values[torch.tensor(known, device=values.device)].float()
            losses.append(functional.cross_entropy(asked, torch.tensor(right, device=values.device)))
    return torch.stack(losses).mean()
