"""diffusers' Wan autoencoder, driven a few latent frames at a time with a state that outlives the call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from shotstream.models.autoencoder import VideoAutoencoder, per_channel
from shotstream.models.wan_decoder import LAYOUT, WanDecoder


class WanVideoAutoencoder:
    """``AutoencoderKLWan`` behind the project's interface; holds nothing of any shot.

    `AutoencoderKLWan.decode` empties its feature cache at every call. Here the encoder and decoder are called
    with a cache that belongs to the caller, so that decoding can go on where it stopped, and encoding a still
    in another thread cannot disturb it.

    Args:
        vae: The network.

    Raises:
        ValueError: If it is not of Wan 2.1's form.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self.vae = vae
        self._decoder = WanDecoder(vae)
        self._compiled = False
        self.spatial_ratio: int = vae.config["scale_factor_spatial"]
        self.temporal_ratio: int = vae.config["scale_factor_temporal"]
        self.latent_channels: int = vae.config["z_dim"]

    def encode_stills(self, frames: Tensor) -> Tensor:
        """Encode pictures, each by itself: ``[B, F, 3, H, W]`` in [-1, 1] -> ``[B, F, C, h, w]``."""
        batch = frames.shape[0]
        latents = self.encode_clip(frames.flatten(0, 1).unsqueeze(1))  # [B*F, 1, C, h, w]
        return latents.squeeze(1).unflatten(0, (batch, -1))

    def encode_clip(self, frames: Tensor) -> Tensor:
        """Encode a clip to the mean: ``[B, 1 + 4k, 3, H, W]`` in [-1, 1] -> ``[B, 1 + k, C, h, w]``.

        Raises:
            ValueError: If the number of frames is not 1 + 4k.
        """
        if (frames.shape[1] - 1) % self.temporal_ratio:
            raise ValueError(
                f"a clip of {frames.shape[1]} frames cannot be encoded: "
                f"give 1 + {self.temporal_ratio}k frames"
            )
        _bring_to_device(self.vae)
        pixels = frames.transpose(1, 2).to(self.vae.dtype)  # [B, 3, T, H, W]
        groups = [pixels[:, :, :1], *pixels[:, :, 1:].split(self.temporal_ratio, dim=2)]
        cache: list[Tensor | str | None] = [None] * self.vae._cached_conv_counts["encoder"]
        features = [
            self.vae.encoder(group, feat_cache=cache, feat_idx=[0]) for group in groups if group.shape[2]
        ]
        moments = self.vae.quant_conv(torch.cat(features, dim=2))
        mean, deviation = latent_statistics(self.vae, moments)
        latents = (moments[:, : self.latent_channels] - mean) / deviation
        return latents.transpose(1, 2)

    def open_decoder(self) -> WanStreamingDecoder:
        """Open a decoder for one shot."""
        return WanStreamingDecoder(self.vae, self._decoder, at_once=self._compiled)

    def compile_decoder(self, **how: Any) -> None:
        """Compile the decoder; decoders opened later decode the frames of a call at once.

        Args:
            how: For ``torch.compile``.
        """
        for layer in self.vae.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d):
                # as the fastest convolutions of a GPU read it
                last = torch.channels_last if layer.weight.ndim == 4 else torch.channels_last_3d
                layer.weight.data = layer.weight.data.contiguous(memory_format=last)
        self._decoder.compile(fullgraph=True, dynamic=False, **how)
        self._compiled = True

    def undo_compile(self) -> None:
        """Run the decoder as it is again."""
        self._decoder._compiled_call_impl = None
        self._compiled = False


class WanStreamingDecoder:
    """Decodes one shot, carrying the causal convolutions' last frames from call to call.

    Args:
        vae: Its autoencoder.
        network: Its decoder.
        at_once: Whether a call's latent frames are decoded together, which takes more memory and less time.
    """

    def __init__(self, vae: AutoencoderKLWan, network: WanDecoder, at_once: bool) -> None:
        self._vae = vae
        self._network = network
        self._at_once = at_once
        self._pasts: list[Tensor] = []

    def decode(self, latents: Tensor) -> Tensor:
        """Decode the shot's next frames: ``[B, F, C, h, w]`` -> ``[B, T, 3, H, W]`` in [-1, 1]."""
        _bring_to_device(self._vae)
        mean, deviation = latent_statistics(self._vae, latents)
        z = latents.transpose(1, 2).to(self._vae.dtype) * deviation + mean  # [B, C, F, h, w]
        pixels = []
        for frames in self._groups(z):
            made, self._pasts = self._network(frames.clone(memory_format=LAYOUT), self._pasts)
            pixels.append(made)
        return torch.cat(pixels, dim=2).transpose(1, 2)

    def state(self) -> list[Tensor]:
        """What the convolutions remember, in order."""
        return list(self._pasts)

    def restore(self, state: list[Tensor]) -> None:
        """Go on exactly from where `state` was taken."""
        self._pasts = [past.clone(memory_format=LAYOUT) for past in state]

    def _groups(self, z: Tensor) -> Sequence[Tensor]:
        """Split latents by what is decoded together; a shot's first frame is always alone."""
        if not self._at_once:
            return z.split(1, dim=2)
        if self._pasts or z.shape[2] == 1:
            return [z]
        return z.split([1, z.shape[2] - 1], dim=2)


def as_video_autoencoder(vae: nn.Module) -> VideoAutoencoder:
    """Give `vae` the project's interface: itself if it has it, wrapped if it is an ``AutoencoderKLWan``.

    Raises:
        ValueError: For any other network.
    """
    if isinstance(vae, VideoAutoencoder):
        return vae
    if isinstance(vae, AutoencoderKLWan):
        return WanVideoAutoencoder(vae)
    raise ValueError(
        f"{type(vae).__name__} is no video autoencoder that ShotStream knows; "
        "use AutoencoderKLWan or TinyVideoAutoencoder"
    )


def latent_statistics(vae: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the latent channels, ``[1, C, 1, 1, 1]``, on the device of `like`."""
    mean, deviation = (
        per_channel(tuple(vae.config[name]), like.device, vae.dtype).view(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    return mean, deviation


def _bring_to_device(vae: AutoencoderKLWan) -> None:
    """Let an offload hook (``enable_model_cpu_offload``) do its work, as ``vae.decode`` would."""
    hook = getattr(vae, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(vae)
