"""Plans to run a model in a device's memory: what each takes, and which fits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shotstream.machine.free_space import GIB

RESERVED_BYTES = 3 * GIB // 4
"""Left free on a device: what CUDA and its libraries take for themselves, and what allocators round up. Not
computed; a usual size."""
_GROWING = (
    "kv_cache",
    "kv_cache_float8",
    "passes",
    "passes_float8",
    "still",
    "decoder_state",
    "decoding",
    "decoding_at_once",
    "live_decoding",
    "live_state",
)
"""Sizes that grow with the pictures."""


@dataclass(frozen=True)
class VramPlan:
    """Options of `shotstream generate`, and whether networks take turns on a GPU."""

    text: str = "resident"
    decoder: str = "full"
    kv_cache: str = "auto"
    mode: str = "auto"
    """``auto`` compiles on a GPU, which then decodes a chunk's latent frames at once; ``plain`` does not."""
    offload: bool = False
    """By diffusers, in Python, where nothing is compiled unless asked for."""
    rewind_chunks: int = 0
    """See `StorySession`: none in `shotstream generate`, in the studio as far as `--lookahead` reaches.

    So many states of the decoder are kept, about a gigabyte each with Wan's at 480x832. Decoding again from
    one before would save them and take longer, just where somebody waits for the picture.
    """

    def options(self) -> str:
        """Write it for `shotstream generate`, but for what Python alone can ask for."""
        options = {"text": self.text, "decoder": self.decoder, "kv-cache": self.kv_cache}
        options |= {"mode": self.mode}
        usual = {"decoder": "full", "kv-cache": "auto", "mode": "auto"}
        return " ".join(f"--{name} {value}" for name, value in options.items() if usual.get(name) != value)

    def __str__(self) -> str:
        return self.options() + (" + offload" if self.offload else "")


VRAM_PLANS = (
    VramPlan(),
    VramPlan(decoder="tiny"),
    VramPlan("int8"),
    VramPlan("cpu"),
    VramPlan("release"),
    VramPlan("release", decoder="tiny"),
    VramPlan("release", kv_cache="float8"),
    VramPlan("release", mode="plain"),
    VramPlan("release", kv_cache="float8", mode="plain"),
    VramPlan("release", offload=True),
    VramPlan("release", kv_cache="float8", offload=True),
)
"""From the quickest to the thriftiest; the tiny decoder makes the first frames quicker and takes memory."""


@dataclass(frozen=True)
class VramSizes:
    """Bytes that the parts of a model take, and the most that their work takes beside what stays."""

    transformer: int
    vae: int
    live_decoder: int
    text_encoder: int
    text_encoder_int8: int
    kv_cache: int
    kv_cache_float8: int
    captions: int
    """Keys and values of a shot's own caption and of those of all remembered frames."""
    encoding: int
    """The longest caption through the text encoder."""
    passes: int
    """The transformer over the context, or over a chunk that sees all it can."""
    passes_float8: int
    still: int
    """Encoding a still."""
    decoder_state: int
    """What the full decoder carries from chunk to chunk."""
    decoding: int
    """A chunk through the full decoder, one latent frame after the other, beside its state."""
    decoding_at_once: int
    """The same with all of its latent frames in one call, as it is done where the decoder is compiled."""
    live_decoding: int
    """A chunk through the tiny decoder, beside its state."""
    live_state: int
    """What the tiny decoder carries from chunk to chunk."""

    def device_bytes(self, plan: VramPlan) -> int:
        """Most bytes that a plan takes on a GPU.

        Work that overlaps is added up: decoding a chunk and encoding a still go on beside a pass, each in
        memory of its own. With offload nothing overlaps, and only the transformer leaves while others work.
        Compiled work is counted as if it were not: it makes fewer tensors.
        """
        text = {"resident": self.text_encoder, "int8": self.text_encoder_int8}.get(plan.text, 0)
        passes = max(self._passes(plan), self.encoding if text else 0)
        if plan.offload:
            return self._kept(plan) + max(text, self.transformer + passes, self.decoding, self.still)
        decoding = self.decoding if plan.mode == "plain" else self.decoding_at_once
        return self._kept(plan) + text + self.transformer + passes + self.still + decoding

    def host_bytes(self, plan: VramPlan) -> int:
        """Most bytes that a plan takes of the machine's memory beside a GPU."""
        text = self.text_encoder + self.encoding if plan.text in ("cpu", "release") else 0
        return text + (self.transformer if plan.offload else 0)

    def machine_bytes(self, plan: VramPlan) -> int:
        """Most bytes that a plan takes without a GPU, where one thing is done after the other."""
        text = self.text_encoder_int8 if plan.text == "int8" else self.text_encoder
        work = max(self._passes(plan), self.decoding, self.still)
        if plan.text == "release":
            return self._kept(plan) + self.transformer + max(work, text + self.encoding)
        return self._kept(plan) + self.transformer + text + max(work, self.encoding)

    def _passes(self, plan: VramPlan) -> int:
        return self.passes_float8 if plan.kv_cache == "float8" else self.passes

    def _kept(self, plan: VramPlan) -> int:
        """What stays all the time but for the text encoder and the transformer."""
        cache = self.kv_cache_float8 if plan.kv_cache == "float8" else self.kv_cache
        kept = cache + self.captions + self.vae + self.decoder_state
        if plan.decoder == "full":
            return kept + self.decoder_state * plan.rewind_chunks
        states = self.live_state * (1 + plan.rewind_chunks)
        return kept + self.live_decoder + self.live_decoding + states


def recommend(sizes: VramSizes, budget_bytes: int) -> VramPlan | None:
    """The first of `VRAM_PLANS` that fits a GPU; None if none does."""
    return next(
        (plan for plan in VRAM_PLANS if sizes.device_bytes(plan) + RESERVED_BYTES <= budget_bytes), None
    )


def shrink(sizes: VramSizes, height: int, width: int, budget_bytes: int) -> tuple[int, int] | None:
    """Find the largest pictures, of about the same shape, with which the thriftiest plan fits a GPU.

    All but weights and captions grows with the area, or with parts of it less; so the answer is on the safe
    side.

    Returns:
        Height and width, multiples of 16; None if the weights alone are too much.
    """
    plan, nothing = VRAM_PLANS[-1], dict.fromkeys(_GROWING, 0)
    fixed = replace(sizes, **nothing).device_bytes(plan)
    share = (budget_bytes - RESERVED_BYTES - fixed) / (sizes.device_bytes(plan) - fixed)
    if share <= 0:
        return None
    small_height, small_width = (int(side * share**0.5) // 16 * 16 for side in (height, width))
    return (small_height, small_width) if small_height and small_width else None
