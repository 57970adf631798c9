"""Stand-ins for the models: deterministic, quick, and different for every prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.labels import LabelMap
from unseg.masks.sources import Found, MaskSource
from unseg.masks.sources import boxes as box_masks
from unseg.masks.sources.proposed import ProposedMask
from unseg.masks.sources.salient import SalientMask
from unseg.models import loaded
from unseg.protect.noises import NoiseSource
from unseg.protect.noises.generator import GeneratorNoise
from unseg.protect.noises.tint import Tint


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


class BrightMask(MaskSource):
    """Finds what is brighter than the mean; nothing in an image of one colour."""

    name, summary, nothing = "salient", "what is bright", "nothing stands out"

    def find(self, photo: Photo, name: str) -> Found | None:
        grey = model_image(photo).mean(dim=0)
        mask = (grey > grey.mean() + 1e-3).numpy()
        if not mask.any():
            return None
        return Found(LabelMap(at_photo_size(mask.view(np.uint8), photo)))


def fill_boxes(base: object, image: Tensor, boxes: Tensor) -> Tensor:
    """Every box is its own mask."""
    found = torch.zeros(image.shape[1:], dtype=torch.int64)
    for number, (left, top, right, bottom) in enumerate(boxes.round().int().tolist(), 1):
        found[top:bottom, left:right] = number
    return found


def noises(model: object) -> list[NoiseSource]:
    """The product's noise sources around a stand-in for the generator."""
    return [Tint(), GeneratorNoise(model)]  # type: ignore[arg-type]


def install(monkeypatch: pytest.MonkeyPatch | None = None, amplitude: float = 1.0) -> None:
    """Make the package load the stand-ins: the generator, what finds masks, and the base."""
    source = BatchSource(amplitude)
    source.base = object()  # type: ignore[attr-defined]

    def load_generator(name: str = "default", device: str = "cpu") -> BatchSource:
        return source

    changes: list[tuple[object, str, object]] = [
        (loaded, "load_generator", load_generator),
        (SalientMask, "load", classmethod(lambda cls, models: BrightMask())),
        (ProposedMask, "load", classmethod(lambda cls, models: None)),
        (box_masks, "masks_of_boxes", fill_boxes),
    ]
    for owner, name, value in changes:
        if monkeypatch is None:
            setattr(owner, name, value)
        else:
            monkeypatch.setattr(owner, name, value)


def photo(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """A smooth colour picture with a bright disc, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    base = 90 + 30 * np.sin(rows / 9 + seed) + 20 * np.cos(columns / 7)
    disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 3) ** 2
    grey = base + 60 * disc + rng.normal(0, 3, (height, width))
    return np.clip(grey[..., None] + rng.integers(-20, 20, 3), 0, 255).astype(np.uint8)
