"""The trained generator: one noise field from the regions' mask prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unseg.models.loaded import Models
from unseg.protect.noises.base import NoiseSource
from unseg.protect.view import View

#: Noise values held at once: 48 million floats are 192 MB.
MAX_VALUES = 48_000_000


class NoiseModel(Protocol):
    """What makes noise from mask prompts; :class:`unseg.models.generator.NoiseGenerator` is one.

    Attributes:
        model_id: name written into manifests.
        sha256: hex checksum of the weights.
    """

    model_id: str
    sha256: str

    def noise(self, image: Tensor, masks: Tensor, codes: Sequence[int] | None = None) -> Tensor:
        """Noise (n, 3, H, W) in [-1, 1] for an image (3, H, W) in [0, 255], masks (n, H, W).

        Prompts with different codes ask for different textures; without codes all are 0.
        """
        ...


@runtime_checkable
class BatchedNoiseModel(Protocol):
    """A model that can make noise for several images in one pass."""

    def noise_batch(
        self,
        images: Sequence[Tensor],
        masks: Sequence[Tensor],
        codes: Sequence[Sequence[int]] | None = None,
    ) -> list[Tensor]:
        """:meth:`NoiseModel.noise` for images and masks of different sizes."""
        ...


class GeneratorNoise(NoiseSource):
    """Noise of a trained generator.

    Args:
        model: makes noise from mask prompts.
    """

    name = "generator"
    summary = "textures of the trained generator"

    def __init__(self, model: NoiseModel) -> None:
        self.model = model
        self.model_id, self.sha256 = model.model_id, model.sha256

    @classmethod
    def load(cls, models: Models) -> Self:
        return cls(models.generator)

    @classmethod
    def of(cls, model: NoiseModel) -> Self:
        return cls(model)

    @torch.no_grad()
    def fields(self, views: Sequence[View]) -> list[Tensor]:
        model = self.model
        if (
            len(views) > 1
            and isinstance(model, BatchedNoiseModel)
            and sum(one.values for one in views) <= MAX_VALUES
        ):
            prompts = [_prompts(one, range(1 + one.count)) for one in views]
            codes = [(0, *one.codes) for one in views]
            made = model.noise_batch([one.image for one in views], prompts, codes)
            fields = [noise[0].clone() for noise in made]
            for one, noise, field in zip(views, made, fields, strict=True):
                _paste(field, one, range(1 + one.count), noise)
            return [field.float().cpu() for field in fields]
        return [self._field(one) for one in views]

    def _field(self, one: View) -> Tensor:
        """Noise of one view, as many prompts at a time as memory allows."""
        many = max(1, MAX_VALUES // (3 * one.foreground.size))
        field: Tensor | None = None
        for start in range(0, 1 + one.count, many):
            numbers = range(start, min(1 + one.count, start + many))
            codes = (0, *one.codes)[numbers.start : numbers.stop]
            prompts = _prompts(one, numbers)
            # A model that knows nothing of codes serves unions.
            told = (codes,) if any(codes) else ()
            noise = self.model.noise(one.image, prompts, *told).float().cpu()
            field = noise[0].clone() if field is None else field
            _paste(field, one, numbers, noise)
        assert field is not None
        return field


def _prompts(one: View, numbers: range) -> Tensor:
    """(n, h, w) bool; prompt 0 is the union, prompt r region r."""
    masks = [one.foreground if r == 0 else one.index == r for r in numbers]
    return torch.from_numpy(np.stack(masks))


def _paste(field: Tensor, one: View, numbers: range, noise: Tensor) -> None:
    for r, values in zip(numbers, noise, strict=True):
        if r > 0:
            here = torch.from_numpy(one.index == r)
            field[:, here] = values[:, here].to(field)
