"""What defences that learn to restore images share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unseg.datasets.samples import Sample, to_array, to_tensor
from unseg.errors import UnsegError
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.defences.clean_images import CleanImages
from unseg.evaluate.results import content_key

REACH = 16.0
"""Largest correction of a pixel, in 8-bit steps: twice the usual bound."""

STRIDE = 16

_TRAINED: dict[str, nn.Module] = {}
"""Networks by the hash of their settings: a suite meets the same defence many times."""


class Restoring(Defence):
    """A small U-Net learns on clean photographs what to subtract; stored images pass through it.

    Hooks: :meth:`inputs` and :meth:`damage`. The clean photographs are not the victim's. Training
    does not depend on the published images or the run's seed, so it is done once in a process.

    Args:
        images: largest number of clean photographs that is used.
        steps: optimiser steps.
        batch_size: crops a step.
        crop: side of a crop, in pixels, a multiple of 16.
        learning_rate: peak learning rate of AdamW, one cycle.
        width: channels of the first level.
        clean: folder of the photographs, ``im/`` and ``gt/``. Its checksum is the setting, not
            where it lies.
    """

    def __init__(
        self,
        *,
        images: int = 150,
        steps: int = 400,
        batch_size: int = 8,
        crop: int = 96,
        learning_rate: float = 3e-3,
        width: int = 16,
        clean: Path | None = None,
    ) -> None:
        if crop < STRIDE or crop % STRIDE:
            raise UnsegError(f"{self.name}'s crop is {crop}: give a multiple of {STRIDE}")
        self.images, self.steps, self.batch_size = images, steps, batch_size
        self.crop, self.learning_rate, self.width = crop, learning_rate, width
        self._clean = clean
        self._network: nn.Module | None = None

    def clean_images(self) -> CleanImages:
        """The photographs to learn from.

        Raises:
            UnsegError: when no folder was given, or it holds none.
        """
        if self._clean is None:
            raise UnsegError(
                f"the defence {self.name} learns from clean photographs: give --clean-images a "
                "folder with im/*.jpg and gt/*.png that the victim does not train on"
            )
        return CleanImages(self._clean, self.images)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "clean_sha256": self.clean_images().sha256}

    def inputs(self, samples: Sequence[Sample]) -> list[Tensor]:
        """What the network is shown of every clean photograph: by default the photograph.

        Returns:
            (3, H, W) float in [0, 255] each.
        """
        return [to_tensor(sample.image) for sample in samples]

    def damage(self, crops: Tensor, rng: torch.Generator) -> Tensor:
        """Change a batch of what is shown: by default nothing.

        Args:
            crops: (B, 3, S, S) float, in [0, 255].
            rng: the only source of randomness allowed here.
        """
        return crops

    def prepare(self, published: Sequence[Sample], seed: int) -> None:
        clean = self.clean_images()
        clean.refuse_the_victims_own(published)
        key = content_key({"name": self.name, **self.settings()})
        if key not in _TRAINED:
            _TRAINED[key] = self.learn(clean.samples())
        self._network = _TRAINED[key]

    def learn(self, samples: Sequence[Sample]) -> nn.Module:
        """Train a network from scratch."""
        rng = torch.Generator().manual_seed(0)
        both = [
            torch.cat([shown, to_tensor(sample.image)])
            for shown, sample in zip(self.inputs(samples), samples, strict=True)
        ]
        network = self.build().train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, self.steps)
        for _ in range(self.steps):
            chosen = torch.randint(len(both), (self.batch_size,), generator=rng).tolist()
            crops = torch.stack([self._cut(both[i], rng) for i in chosen])
            shown, clean = crops.split(3, dim=1)
            # Squares: an absolute error is content with subtracting nothing for long.
            loss = F.mse_loss(restore(network, self.damage(shown, rng)), clean) / REACH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return network.eval()

    def build(self) -> nn.Module:
        """(B, 6, h, w) to (B, 3, h, w), sides multiples of 16; fixed random weights."""
        from monai.networks.nets.basic_unet import BasicUNet

        w = self.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            # Full resolution at the first level: noise may be as fine as a pixel.
            features = (w, w, 2 * w, 2 * w, 4 * w, w)
            trunk = BasicUNet(2, 6, w, features, norm="batch")
        last = nn.Conv2d(w, 3, 3, padding=1)
        # It starts by subtracting nothing.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        network = nn.Sequential(trunk, last)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._network is None:
            raise RuntimeError(f"{self.name} has learned nothing yet: call prepare first")
        height, width = image.shape[:2]
        pad = (0, -width % STRIDE, 0, -height % STRIDE)
        padded = F.pad(to_tensor(image)[None], pad, mode="replicate")
        restored = restore(self._network, padded)[0, :, :height, :width]
        return to_array(restored.round().clamp(0, 255))

    def _cut(self, pair: Tensor, rng: torch.Generator) -> Tensor:
        """A random crop of (C, H, W), mirrored half of the time."""
        height, width = pair.shape[-2:]
        side = self.crop
        if min(height, width) < side:
            raise UnsegError(
                f"{self.name}: a clean photograph is {width}x{height}, smaller than the crop of "
                f"{side}: give larger ones with --clean-images"
            )
        top = int(torch.randint(height - side + 1, (), generator=rng))
        left = int(torch.randint(width - side + 1, (), generator=rng))
        crop = pair[:, top : top + side, left : left + side]
        return crop.flip(-1) if float(torch.rand((), generator=rng)) < 0.5 else crop


def restore(network: nn.Module, images: Tensor) -> Tensor:
    """Subtract what a network finds in (B, 3, h, w) images in [0, 255].

    It sees them twice: as they are, and their fine structure enlarged, or the noise would be lost
    beside the photograph.
    """
    mean = F.avg_pool2d(images, 5, 1, 2, count_include_pad=False)
    seen = torch.cat([images / 64 - 2, (images - mean) / 8], dim=1)
    return images - REACH * torch.tanh(network(seen.contiguous(memory_format=torch.channels_last)))
