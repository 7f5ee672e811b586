# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # ShotStream on mini: the paper, step by step
#
# *ShotStream: Streaming Multi-Shot Video Generation for Interactive Storytelling* ([arXiv
# 2603.25746](https://arxiv.org/abs/2603.25746)) makes a film shot by shot, and shows frames while it
# makes them. This page walks through its parts with `mini`, the small model that comes with the package.
# A CPU is enough.
#
# It needs `pip install "shotstream[notebook]"`. The same text is a script: `python
# examples/paper_on_mini.py` writes its pictures to `out/paper_on_mini/`.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from shotstream import ShotStreamPipeline, Story
from shotstream.media.sheet import contact_sheet

SHORT = bool(os.environ.get("SHOTSTREAM_SHORT"))  # fewer shots and steps, for a quick look
OUT = Path(os.environ.get("SHOTSTREAM_OUT", "out/paper_on_mini"))
OUT.mkdir(parents=True, exist_ok=True)


def show(name: str) -> None:
    """Show the figure in a notebook, and keep it as a file."""
    plt.tight_layout()
    plt.savefig(OUT / f"{name}.png", dpi=90)
    plt.show() if "inline" in plt.get_backend() else plt.close()


mini = ShotStreamPipeline.from_pretrained("mini")
mini.set_progress_bar_config(disable=True)
transformer = mini.transformer
config = transformer.config
print(f"{sum(weight.numel() for weight in transformer.parameters()) / 1e6:.1f} million weights")
print(f"{config['context_frames']} context frames, chunks of {config['chunk_frames']} latent frames")

# %% [markdown]
# ## 1. Which frames are remembered
#
# The next shot is made from at most six frames of the shots before it (section 3.2). Each of n earlier
# shots gives `6 // n` frames, and the newest ones give one more until there are six. With more than six
# shots, the oldest give none: that is why the studio lets you *pin* a frame.

# %%
from shotstream.streaming.context_frames import select_frames

for earlier in (1, 2, 4, 6, 8):
    print(f"{earlier} earlier shots of 33 frames:", select_frames([33] * earlier, budget=6))

figure, axes = plt.subplots(figsize=(7, 2.4))
for earlier in range(1, 9):
    chosen = select_frames([33] * earlier, budget=6)
    axes.plot([shot * 33 + frame for shot, frame in chosen], [earlier] * len(chosen), "o")
axes.set(xlabel="frame of the story (a shot has 33)", ylabel="earlier shots", title="context frames")
axes.set_xticks(range(0, 265, 33))
axes.grid(axis="x")
show("context_frames")
assert len(select_frames([33] * 8, budget=6)) == 6

# %% [markdown]
# ## 2. The cut, told to attention: a shift of the rotary phase
#
# Attention knows *when* a frame is by how far its keys and queries are turned. Inside a shot the angle
# grows with time. A cut adds a fixed angle `shot_theta` for every shot (section 3.3, "discontinuity
# indicator"), so that neighbours over a cut are not taken for neighbours in time.

# %%
from shotstream.models.rope import rotary_table, space_turns, time_turns

head = config["attention_head_dim"]
cpu = torch.device("cpu")
shots = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
times = time_turns(head, 10_000.0, 0, len(shots), cpu)  # [F, pairs], complex
places = space_turns(head, 10_000.0, 1, 1, cpu)  # [1, pairs]


def angles(shift: float | None) -> np.ndarray:
    """Angle of the slowest time pair of each frame: the shift is the same for all pairs."""
    table = rotary_table(times, places, shots, shift)  # [1, F, 1, 1, pairs, 2]
    slowest = table[0, :, 0, 0, times.shape[1] - 1]
    return np.unwrap(torch.atan2(slowest[:, 1], slowest[:, 0]).numpy())


theta = config["shot_theta"]
plt.figure(figsize=(7, 2.4))
plt.plot(angles(None), "o--", label="time alone")
plt.plot(angles(theta), "o-", label=f"with the shift ({theta:.3f} rad per shot)")
plt.xlabel("latent frame (three per shot)")
plt.ylabel("angle [rad]")
plt.legend()
show("rope_shift")
jumps = np.diff(angles(theta)) - np.diff(angles(None))
assert np.allclose(jumps, [0, 0, theta, 0, 0, theta, 0, 0], atol=1e-3)

# %% [markdown]
# ## 3. Who sees whom: the block-causal mask
#
# In training a whole shot goes through the network at once. Context frames see one another; a chunk sees
# the context, earlier chunks and itself, and nothing later. Instead of drawing the mask we measure it: we
# change the input at one place, and look which frames of the output change.

# %%
torch.manual_seed(0)
CONTEXT, CHUNKS = (3, 2) if SHORT else (config["context_frames"], 3)
frames = CONTEXT + CHUNKS * config["chunk_frames"]
height, width = (side // mini.vae.spatial_ratio for side in mini.picture_size(None, None))
latents = torch.randn(1, frames, config["in_channels"], height, width)
captions = torch.zeros(1, 1, config["text_length"], config["text_dim"])
timesteps = torch.full((1, frames), 500.0)


@torch.no_grad()
def flow(latents: torch.Tensor) -> torch.Tensor:
    """One block-causal pass."""
    return transformer(latents, timesteps, captions, shot_index=1, context_frames=CONTEXT).sample


before = flow(latents)
block = np.array(
    [0] * CONTEXT + [1 + chunk for chunk in range(CHUNKS) for _ in range(config["chunk_frames"])]
)
sees = np.zeros((frames, 1 + CHUNKS), bool)
for column in range(1 + CHUNKS):
    changed = latents.clone()
    changed[:, np.argmax(block == column)] += 1  # the first frame of the context, or of a chunk
    sees[:, column] = (flow(changed) - before).abs().amax((0, 2, 3, 4)).numpy() > 1e-6
plt.figure(figsize=(3.6, 3.6))
plt.imshow(sees, cmap="Greens", aspect="auto")
plt.xticks(range(1 + CHUNKS), ["context", *(f"chunk {chunk}" for chunk in range(CHUNKS))])
plt.xlabel("where the input was changed")
plt.ylabel("output frame")
show("mask")
assert np.array_equal(sees, block[:, None] >= np.arange(1 + CHUNKS))

# %% [markdown]
# ## 4. The dual cache: the same, chunk by chunk
#
# A user does not wait for a whole shot. Keys and values of the context frames (the *global* part) and of
# finished chunks (the *local* part) are kept, and a new chunk computes only itself. What comes out is
# what the block-causal pass gives.

# %%
cache = transformer.new_cache(batch=1, tokens_per_frame=before.shape[-1] * before.shape[-2] // 4)
pieces = []
with torch.no_grad():
    cache.open_shot()
    cache.fill_context(CONTEXT)
    pieces.append(
        transformer(latents[:, :CONTEXT], timesteps[:, :CONTEXT], captions, shot_index=1, cache=cache).sample
    )
    for chunk in range(CHUNKS):
        part = slice(CONTEXT + chunk * config["chunk_frames"], CONTEXT + (chunk + 1) * config["chunk_frames"])
        cache.begin_chunk()
        pieces.append(
            transformer(latents[:, part], timesteps[:, part], captions, shot_index=1, cache=cache).sample
        )
        cache.commit()
        print(f"after chunk {chunk}: global {cache.context_frames}, local {cache.local_frames} latent frames")
difference = (torch.cat(pieces, 1) - before).abs().max()
print(f"largest difference to the block-causal pass: {difference:.1e}")
assert difference < 1e-3

# %% [markdown]
# ## 5. From noise to a chunk in four steps
#
# Training teaches the *flow*: noise minus clean latents. The student walks from noise to clean latents in
# four steps.

# %%
steps = mini.scheduler.student_steps()
print("timesteps of the four steps:", [round(float(step), 1) for step in steps])
assert len(steps) == 4

# %% [markdown]
# ## 6. Memory switched off and on
#
# The same three prompts from the same seed. Above, every shot is made as if it were the first of a story.
# Below, it remembers. Nothing in the captions says which colour the hat has.

# %%
from shotstream.evaluation.variants import without_memory

story = Story(
    setting="An orange cat wearing a top hat is in a meadow on a sunny day.",
    seed=11,
    shots=[
        {"prompt": "Wide shot of the cat waving hello.", "chunks": 1},
        {"prompt": "Close up. The cat looks around.", "chunks": 1},
        {"prompt": "Medium shot of the cat sitting.", "chunks": 1},
    ][: 2 if SHORT else 3],
)


def last_frames(chunks) -> list[np.ndarray]:
    """The last frame of every shot."""
    return list({chunk.shot: chunk.frames[-1] for chunk in chunks}.values())


off, on = last_frames(without_memory(mini, story)), last_frames(mini.stream(story))
plt.figure(figsize=(7, 4))
plt.imshow(contact_sheet([off, on]))
plt.axis("off")
plt.title("memory off (above) and on (below)")
show("memory")
assert np.array_equal(off[0], on[0]), "the first shot has nothing to remember"
assert not np.array_equal(off[-1], on[-1])

# %% [markdown]
# ## 7. The four stages, at toy size
#
# 1. **Teacher** (section 3.2): sees all frames of a shot at once, and learns to make the next shot from
#    the context frames.
# 2. **Causal initialisation** (section 3.3): the student is block-causal, and learns states of the
#    teacher's walk from noise.
# 3. **Intra-shot self-forcing**: the student makes shots chunk by chunk after *true* earlier shots. A
#    critic follows what it makes; teacher and critic together say in which direction it should change
#    (distribution matching).
# 4. **Inter-shot self-forcing**: the same after the student's *own* earlier shots.
#
# These are the stages that `shotstream train` runs, on four drawn stories of 32x48 pixels. Nothing useful
# is learnt in so few steps; what is to be seen is how the parts follow from one another. A caption
# encoder and an autoencoder come first.

# %%
import json

from shotstream.training.settings import Recipe
from shotstream.training.workspace import Workspace

STEPS = 4 if SHORT else 60
loop = {"steps": STEPS, "batch": 2, "log_every": 1, "sample_every": 10_000, "ema": 0.5}
learning = {"loop": loop, "optimiser": {"warmup_steps": 2}}
recipe = Recipe.model_validate(
    {
        "name": "toy",
        "world": {
            "height": 32,
            "width": 48,
            "shot_frames": 13,
            "shots": 3,
            "stories": 4,
            "validation_stories": 4,
            "context_frames": 3,
        },
        "captions": {"shots": 3, **learning},
        "autoencoder": {
            "latent_channels": 4,
            "encoder_widths": (8, 8, 8),
            "decoder_widths": (8, 8, 8, 8),
            "clip_frames": 5,
            **learning,
        },
        "decoder": {"clip_frames": 5, **learning},
        "teacher": {
            "network": {
                "layers": 1,
                "heads": 2,
                "head_size": 12,
                "feed_forward": 32,
                "chunk_frames": 2,
                "text_width": 16,
                "text_layers": 1,
                "text_heads": 2,
            },
            **learning,
        },
        "causal_init": {"pairs": 4, "ode_steps": 4, **learning},
        "intra_shot": {"critic_updates": 1, **learning},
        "inter_shot": {"critic_updates": 1, "lora_rank": 2, **learning},
    }
)
workspace = Workspace(recipe, OUT / "toy", torch.device("cpu"))
stages = ("captions", "autoencoder", "decoder", "teacher", "causal-init", "intra-shot", "inter-shot")
figures = {}
for stage in stages:
    workspace.run(stage)
    lines = (workspace.folder / stage / "metrics.jsonl").read_text().splitlines()
    figures[stage] = [json.loads(line) for line in lines]

figure, axes = plt.subplots(1, 4, figsize=(11, 2.6))
for plot, (number, stage) in zip(axes, enumerate(stages[3:], start=1), strict=True):
    for name in ("loss", "student_loss", "critic_loss"):
        losses = [(figure["step"], figure[name]) for figure in figures[stage] if name in figure]
        if losses:
            plot.plot(*zip(*losses, strict=True), ".-", label=name.replace("_", " "))
            assert np.isfinite(losses).all()
    plot.set(title=f"{number}. {stage}", xlabel="step")
    plot.legend()
show("stages")
assert all(len(steps) == STEPS for steps in figures.values())

# %% [markdown]
# What came of it is a model folder like any other, and tells a story (of noise, after so few steps):

# %%
toy = ShotStreamPipeline.from_pretrained(workspace.save_pipeline())
toy.set_progress_bar_config(disable=True)
told = list(
    toy.stream(Story(setting="A red cat is on a beach.", shots=["The cat waves.", "Close up of the cat."]))
)
print([(chunk.shot, chunk.frames.shape) for chunk in told])
assert {chunk.shot for chunk in told} == {0, 1}

# %% [markdown]
# ## Where to go from here
#
# * `shotstream train all mini` trains a small model for real; [results.md](../docs/results.md) has what
#   came of it.
# * [flat_teacher.py](flat_teacher.py) is stage 1 in one file with nothing hidden.
# * [ARCHITECTURE.md](../ARCHITECTURE.md) says where each part lives, and [the
#   glossary](../docs/glossary.md) what words mean.
