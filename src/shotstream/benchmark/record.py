"""What a benchmark writes down: figures, and everything that decides what they mean."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shotstream.media.faults import say_fault
from shotstream.media.files import atomic_path


class RecordError(ValueError):
    """A file holds no record of a benchmark."""


class Part(BaseModel):
    """Base of all parts of a record: unknown entries are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class MachineFacts(Part):
    """What computed."""

    hardware: str
    """GPU if one was used, processor, cores, torch, as `shotstream.machine.provenance.hardware` says."""
    driver: str | None
    """Version of the GPU's driver."""
    torch: str


class Settings(Part):
    """What was run; figures of different settings are not compared."""

    model: str
    weights: str
    """"random weights", or the hash of the model's weights."""
    parameters: int
    """Of the transformer."""
    text_encoder: str
    transformer_only: bool
    """Whether captions, stills and decoding are left out."""
    mode: str
    """plain, compiled or fast: what was done is in the record under ``computing``."""
    decoder: str | None
    """Which decoder makes the live frames; None for the model's only one."""
    shots: int
    chunks: int
    """Of a shot."""
    height: int
    width: int
    device: str
    """Type of the device: cpu, cuda."""
    dtype: str
    film_fps: float
    """Frames per second at which the film is shown."""

    @property
    def case(self) -> str:
        """Name of the case, for the file of its baseline."""
        parts = [
            self.model.strip("/").replace("/", "-"),
            f"{self.height}x{self.width}",
            self.device,
            self.dtype,
            self.mode,
            self.decoder,
        ]
        return "-".join([part for part in parts if part] + ["loop"] * self.transformer_only)

    @property
    def labels(self) -> list[str]:
        """What a reader must know beside the figures."""
        labels = [self.weights] if self.weights == RANDOM_WEIGHTS else []
        if self.transformer_only:
            labels.append("transformer only: no captions, no decoding")
        elif self.text_encoder == RANDOM_TEXT_ENCODER:
            labels.append(f"captions go through {RANDOM_TEXT_ENCODER}")
        return labels


RANDOM_WEIGHTS = "random weights"
RANDOM_TEXT_ENCODER = "a small random text encoder, not umT5"


class Measurements(Part):
    """How fast it went. Everything but `first_frame_cold_seconds` is taken after the warm-up."""

    frames_per_second: float
    """Frames of all shots by the seconds from the story's first prompt to its last frame that is shown."""
    full_frames_per_second: float | None = None
    """Where the tiny decoder is shown: of one more story, all of whose frames are made in full, too."""
    times_film_pace: float
    """The same in multiples of the pace at which the film is shown."""
    prepare_seconds: float
    """Choosing and compiling ways to compute, and the passes that warm them up."""
    first_frame_cold_seconds: float
    """From the end of loading to the first frames: preparing, opening the session and its first chunk."""
    first_frame_warm_seconds: float
    """From the first prompt of a later story to its first frames, opening the session included."""
    next_shot_seconds: float | None
    """Median time from the last frames of a shot to the first of the next; None for a single shot."""
    chunk_p50_seconds: float
    """Median time from the frames of one chunk to those of the next, first chunks of shots included."""
    chunk_p95_seconds: float
    chunk_p99_seconds: float
    chunk_p99_over_p50: float
    peak_memory_bytes: int
    """Most that was allocated on the GPU; on a CPU, most that was resident since the process began."""
    device_allocations: int | None
    """How often memory was asked of the GPU itself; None on a CPU."""
    graph_breaks: int
    recompilations: int
    """While the story is told: what would be compiled if that were not forbidden after the warm-up."""
    stage_seconds: dict[str, float]
    """Over all shots, as far as chunks tell; what is left of the time is under ``rest``."""
    chunk_seconds: list[list[float]]
    """The raw times, per shot."""


class LoopCounts(Part):
    """What the chunk loop did that it should not, after a warm-up shot; exact on any machine."""

    operations_per_chunk: int
    """Operations that torch dispatched for the last watched chunk: denoising and clean pass."""
    synchronising: dict[str, int]
    """Calls that make the host wait for the device, by place."""
    cache_copies: dict[str, int]
    """Copies of at least half of a layer's keys, by place."""
    growth_in_shot_bytes: int
    """Live tensors after the last chunk, less those after the second; latents kept for redirects apart."""
    growth_over_shots_bytes: int
    """Live tensors after the last watched shot, less those after the first."""
    cache_moves: int
    """How often the cache's storage was found in another place."""


class ColdStart(Part):
    """A process that is started and tells a story, until its first frames are in memory."""

    seconds: float
    """From asking for the process to the frames."""
    parts: dict[str, float]
    """The same by what it did: ``imports``, ``loading``, ``preparing``, ``first chunk``."""
    compiled_before: bool
    """Whether a process before it had filled the caches of what is compiled; false where nothing is."""


class Record(Part):
    """One benchmark, or as much of it as was done; see `unfinished`."""

    date: str
    """When it was run, ISO 8601."""
    commit: str | None
    machine: MachineFacts
    settings: Settings
    labels: list[str] = Field(default_factory=list)
    computing: dict[str, str] = Field(default_factory=dict)
    """What the mode chose here, e.g. the attention back end and whether layers are in 8 bits."""
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why, e.g. what was measured, or what failed."""
    unfinished: str | None = None
    """What had been done when this was written, if the benchmark had not ended; its figures are of that."""
    figures: Measurements | None = None
    """None before the first shot that counts is told."""
    loop: LoopCounts | None = None
    """Only where the loop was watched."""
    cold: ColdStart | None = None
    """Only where it was asked for."""

    def write(self, path: Path) -> None:
        """Write the record as JSON; if that is stopped, the file is as it was."""
        with atomic_path(path) as part:
            part.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def whole_figures(self) -> Measurements:
        """Return the figures of a benchmark that has ended.

        Raises:
            RecordError: If it has not.
        """
        if self.unfinished is not None or self.figures is None:
            raise RecordError(
                f"the benchmark {self.settings.case} was stopped ({self.unfinished}); run it again to its end"
            )
        return self.figures

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            RecordError: If the file is not there or holds no record.
        """
        if not path.is_file():
            raise RecordError(f"there is no record {path}; make it with shotstream bench -o {path}")
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise RecordError(
                f"{path} is no record of a benchmark: {say_fault(error.errors()[0])}"
            ) from error
