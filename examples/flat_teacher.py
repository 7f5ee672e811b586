"""Stage 1 in one file: a bidirectional next-shot generator, trained at toy size, with nothing hidden.

    python examples/flat_teacher.py --steps 600 --picture teacher.png

It draws stories, encodes them with mini's autoencoder, and learns by flow matching to make the next shot from
a noisy one, six remembered frames and the captions. The real thing (`shotstream train teacher`) adds what a
long run needs: data on disk, averages of the weights, checkpoints, several devices. The mathematics is here.

B stories in a batch, K = 6 remembered frames, F latent frames of a shot, C channels, h and w latent size.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from shotstream import CausalWanTransformer3DModel, ShotStreamPipeline
from shotstream.media.pictures import write_png
from shotstream.media.sheet import contact_sheet
from shotstream.models.text import make_text_encoder
from shotstream.streaming.context_frames import select_frames
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

K, SHOTS, FRAMES = 6, 3, 13  # remembered frames; shots of a story; pixel frames of a shot (1 + 4k)

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--steps", type=int, default=600)
parser.add_argument("--stories", type=int, default=64)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--picture", type=Path, default=Path("out/flat_teacher.png"))
options = parser.parse_args()
torch.manual_seed(0)
mini = ShotStreamPipeline.from_pretrained("mini")
autoencoder, tokenizer = mini.vae.eval(), mini.tokenizer

# ---- data: for every story its shots as latents, the stills that memory would choose, and its captions ----

clips, stills, captions = [], [], []
with torch.no_grad():
    for seed in range(options.stories):
        story = sample_story(seed, shots=SHOTS, frames=FRAMES)
        drawn = np.stack([draw_shot(story, shot, height=64, width=96) for shot in range(SHOTS)])
        pixels = torch.from_numpy(drawn).movedim(-1, 2).float() / 127.5 - 1  # [SHOTS, T, 3, H, W]
        clips.append(autoencoder.encode_clip(pixels))  # [SHOTS, F, C, h, w]
        stills.append(autoencoder.encode_stills(pixels))  # [SHOTS, T, C, h, w]
        captions += [f"{story.setting} {shot.prompt}" for shot in story.shots]
clips, stills = torch.stack(clips), torch.stack(stills)
tokens = tokenizer(captions, padding=True, return_tensors="pt")
ids = tokens["input_ids"].unflatten(0, (-1, SHOTS))  # [stories, SHOTS, L]
mask = tokens["attention_mask"].unflatten(0, (-1, SHOTS))
(F, C, h, w), L = clips.shape[2:], ids.shape[-1]

# ---- networks: a small transformer, and a caption encoder that learns along ----

transformer = CausalWanTransformer3DModel(
    num_attention_heads=2, attention_head_dim=48, in_channels=C, out_channels=C, text_dim=64, text_length=L,
    freq_dim=64, ffn_dim=256, num_layers=3, context_frames=K, spatial_embedding=(h // 2, w // 2),
)  # fmt: skip
text_encoder = make_text_encoder(len(tokenizer), width=64, layers=1, heads=2)
parameters = [*transformer.parameters(), *text_encoder.parameters()]
optimiser = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)


def make_flow(noisy, sigma, context, shot_index, caption_index, ids, mask):
    """Predicted flow [B, F, C, h, w] of noisy shots; sigma [B] is the noise level of a whole sample."""
    hidden = text_encoder(input_ids=ids.flatten(0, 1), attention_mask=mask.flatten(0, 1)).last_hidden_state
    text = transformer.encode_captions((hidden * mask.flatten(0, 1)[..., None]).unflatten(0, ids.shape[:2]))
    output = transformer(
        torch.cat([context, noisy], dim=1),
        1000 * sigma,
        text,
        shot_index=shot_index,
        caption_index=caption_index,
    )
    return output.sample[:, K:]


def recall(chosen, shot):
    """What `shot` of the chosen stories is made from: context, indices, captions."""
    if shot == 0:  # nothing to remember: black latents of shot 0, the shot itself is number 1 (as released)
        context, index = torch.zeros(len(chosen), K, C, h, w), torch.tensor([0] * K + [1] * F)
        return context, index, torch.zeros_like(index), ids[chosen, :1], mask[chosen, :1]
    frames = select_frames([FRAMES] * shot, K)  # the released rule: (shot, frame) of each remembered frame
    context = stills[chosen][:, [s for s, _ in frames], [f for _, f in frames]]  # [B, K, C, h, w]
    index = torch.tensor(
        [s for s, _ in frames] + [shot] * F
    )  # shifts the rotary phase, and picks the caption
    return context, index, index, ids[chosen, : shot + 1], mask[chosen, : shot + 1]


# ---- training: x_t = (1 - sigma) x0 + sigma noise, and the flow to be predicted is noise - x0 ----

for step in range(options.steps):
    chosen = torch.randint(options.stories, (options.batch,))
    shot = 0 if step < options.steps // 2 else int(torch.randint(SHOTS, ()))  # captions first, then memory
    x0, noise, u = clips[chosen, shot], torch.randn(options.batch, F, C, h, w), torch.rand(options.batch)
    sigma = 5 * u / (1 + 4 * u)  # shift 5: more time at high noise, where it is decided what is to be seen
    noisy = torch.lerp(x0, noise, sigma[:, None, None, None, None])
    loss = functional.mse_loss(make_flow(noisy, sigma, *recall(chosen, shot)), noise - x0)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    if step % 20 == 0 or step == options.steps - 1:
        print(f"step {step:5d}  shot {shot + 1}  loss {loss.item():.4f}", flush=True)

# ---- a look: first and last shots of four stories, the true ones beside those made by 20 Euler steps ----

rows = []
with torch.no_grad():
    for shot in (0, SHOTS - 1):
        chosen, x = torch.arange(4), torch.randn(4, F, C, h, w)
        grid = torch.linspace(1, 0, 21)
        for now, after in zip(
            5 * grid[:-1] / (1 + 4 * grid[:-1]), 5 * grid[1:] / (1 + 4 * grid[1:]), strict=True
        ):
            x = x + (after - now) * make_flow(x, now.expand(4), *recall(chosen, shot))
        for true, own in zip(clips[chosen, shot], x, strict=True):
            decoded = autoencoder.open_decoder().decode(torch.stack([true, own]))[:, [0, -1]].flatten(0, 1)
            rows.append(list(((decoded + 1) * 127.5).clamp(0, 255).byte().movedim(1, -1).numpy()))
write_png(options.picture, contact_sheet(rows, scale=2))
print(f"Wrote {options.picture}: true first and last frame, then the teacher's")
