"""Stand-ins for the models: deterministic, quick, and different for every prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from unseg.protect import sources
from unseg.protect.sources import Proposal


class WaveSource:
    """Noise that is +-1 in stripes, whose phase depends on the mask and whose sign on the image."""

    model_id, sha256 = "waves", "ab" * 32

    def __init__(self, amplitude: float = 1.0) -> None:
        self.amplitude, self.calls = amplitude, 0

    def noise(self, image: Tensor, masks: Tensor, codes: Sequence[int] | None = None) -> Tensor:
        self.calls += 1
        assert codes is None or len(codes) == len(masks)
        assert image.dtype == torch.float32 and masks.dtype == torch.bool
        assert image.shape[1:] == masks.shape[1:]
        height, width = image.shape[1:]
        place = 0.7 * torch.arange(width) + 0.4 * torch.arange(height)[:, None]
        channel = torch.arange(3.0)[:, None, None]
        bright = 1.0 if image.mean() > 127 else -1.0
        maps = [torch.sign(torch.sin(place + channel + mask.sum() % 97)) for mask in masks]
        return torch.stack(maps) * bright * self.amplitude


class BatchSource(WaveSource):
    """The same noise through the batched method, counting its calls."""

    batches = 0

    def noise_batch(
        self,
        images: Sequence[Tensor],
        masks: Sequence[Tensor],
        codes: Sequence[Sequence[int]],
    ) -> list[Tensor]:
        self.batches += 1
        return [self.noise(*one) for one in zip(images, masks, codes, strict=True)]


class BrightProposer:
    """Proposes what is brighter than the mean; nothing in an image of one colour."""

    sha256 = ""

    def propose(self, image: Tensor) -> Proposal:
        grey = image.mean(dim=0)
        mask = (grey > grey.mean() + 1e-3).numpy()
        return Proposal(mask, int(mask.any()))

    def in_boxes(self, image: Tensor, boxes: np.ndarray) -> np.ndarray:
        found = np.zeros(image.shape[1:], np.int32)
        for number, (left, top, right, bottom) in enumerate(boxes.round().astype(int), 1):
            found[top:bottom, left:right] = number
        return found


def install(monkeypatch: pytest.MonkeyPatch | None = None, amplitude: float = 1.0) -> None:
    """Make ``unseg protect`` load the stand-ins."""

    def load(name: str, device: str, salience: str) -> tuple[BatchSource, BrightProposer]:
        return BatchSource(amplitude), BrightProposer()

    if monkeypatch is None:
        sources.load_models = load
    else:
        monkeypatch.setattr(sources, "load_models", load)


def photo(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """A smooth colour picture with a bright disc, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    base = 90 + 30 * np.sin(rows / 9 + seed) + 20 * np.cos(columns / 7)
    disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 3) ** 2
    grey = base + 60 * disc + rng.normal(0, 3, (height, width))
    return np.clip(grey[..., None] + rng.integers(-20, 20, 3), 0, 255).astype(np.uint8)
