"""A small U-Net (monai), trained from scratch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.evaluate.samples import Sample, to_tensor
from unseg.evaluate.victims.base import Progress, Victim
from unseg.evaluate.victims.loader import Augmentation, CropLoader, normalise, shrink
from unseg.seed import seed_everything

DEFAULT_AUGMENTATION = Augmentation()


class UNetVictim(Victim):
    """monai's residual U-Net; AdamW, one-cycle cosine, binary cross entropy + dice.

    Args:
        size: short side of the work size, in pixels.
        crop: side of a training crop, in pixels; a multiple of 16.
        width: channels of the first level; each of the four further levels doubles them.
        units: residual units a level.
        steps: optimiser steps.
        batch: crops a step.
        rate: peak learning rate, reached after the first tenth.
        decay: weight decay of AdamW.
        mirror: average the prediction with that of the mirrored image.
        augmentation: how training crops are drawn.
    """

    name = "unet"
    summary = "small residual U-Net from scratch (monai)"

    def __init__(
        self,
        *,
        size: int = 192,
        crop: int = 128,
        width: int = 16,
        units: int = 2,
        steps: int = 800,
        batch: int = 8,
        rate: float = 3e-3,
        decay: float = 1e-2,
        mirror: bool = True,
        augmentation: Augmentation = DEFAULT_AUGMENTATION,
    ) -> None:
        if crop < 32 or crop % 16:
            raise UnsegError(f"unet: crop {crop} does not work: give a multiple of 16, at least 32")
        if size < 32:
            raise UnsegError(f"unet: size {size} does not work: give at least 32")
        if steps < 1:
            raise UnsegError(f"unet: steps {steps} does not work: give at least 1")
        self.size, self.crop, self.width, self.units = size, crop, width, units
        self.steps, self.batch = steps, batch
        self.rate, self.decay, self.mirror = rate, decay, mirror
        self.augmentation = augmentation
        self._network: nn.Module | None = None

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "augmentation": asdict(self.augmentation)}

    def fit(self, samples: Sequence[Sample], seed: int, progress: Progress) -> list[float]:
        from monai.losses.dice import DiceLoss

        seed_everything(seed)
        network = self._build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        loader = CropLoader(
            samples,
            size=self.size,
            crop=self.crop,
            batch=self.batch,
            augmentation=self.augmentation,
            rng=np.random.default_rng(seed),
        )
        dice = DiceLoss(sigmoid=True, batch=True)
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.rate, weight_decay=self.decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        losses: list[float] = []
        network.train()
        for step in range(self.steps):
            images, targets = loader.draw()
            logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = F.binary_cross_entropy_with_logits(logits, targets) + dice(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            progress((step + 1) / self.steps)
        self._network = network.eval()
        return [float(part.mean()) for part in np.array_split(losses, min(10, len(losses)))]

    @torch.no_grad()
    def predict(self, image: NDArray[np.uint8]) -> Tensor:
        if self._network is None:
            raise RuntimeError("predict before fit: call fit first")
        small = to_tensor(shrink(image, self.size))[None] / 255
        height, width = small.shape[-2:]
        padded = F.pad(small, (0, -width % 16, 0, -height % 16), mode="replicate")
        logits = self._network(normalise(padded))
        if self.mirror:
            logits = (logits + self._network(normalise(padded.flip(-1))).flip(-1)) / 2
        logits = logits[..., :height, :width]
        full = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)
        return full[0, 0]

    def _build(self) -> nn.Module:
        from monai.networks.nets.unet import UNet

        return UNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            channels=tuple(self.width * 2**level for level in range(5)),
            strides=(2, 2, 2, 2),
            num_res_units=self.units,
            norm="batch",
        )

    def _factor(self, step: int) -> float:
        """Learning rate relative to the peak: a linear warm-up over a tenth, then a cosine."""
        warm = max(1, self.steps // 10)
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))
