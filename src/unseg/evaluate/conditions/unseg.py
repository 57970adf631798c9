"""Noise of a trained generator: what this package makes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.samples import Sample
from unseg.models.weights.io import module_sha256
from unseg.noise import Budget
from unseg.protect.apply import View, noise_fields
from unseg.protect.sources import NoiseSource

Target = Literal["union", "class", "instance"]


def fingerprint(source: NoiseSource) -> str:
    """Hex sha256 over the names, types and bytes of a module's weights.

    Raises:
        UnsegError: when the source is no ``torch.nn.Module``.
    """
    if not isinstance(source, nn.Module):
        raise UnsegError(
            f"{type(source).__name__} has no weights to identify it by: pass identity= to name it"
        )
    return module_sha256(source)


class Unseg(Condition):
    """Noise of a generator, composed from mask prompts as ``unseg protect --target`` does.

    Args:
        source: the generator.
        identity: what tells this generator from others in the result's key; by default the
            checksum of its weights.
        target: one prompt for the union of the foreground, or one per class or instance.
        budget: the bound, in 8-bit steps.
    """

    name = "unseg"
    summary = "noise of the trained generator (--target union, class or instance)"
    seeded = False

    def __init__(
        self,
        source: NoiseSource,
        *,
        identity: str | None = None,
        target: Target = "union",
        budget: Budget = Budget(),
    ) -> None:
        super().__init__(budget=budget)
        self._source = source
        self.generator_id = identity or fingerprint(source)
        self.target: Target = target

    def settings(self) -> dict[str, Any]:
        # Left out where it is the reference's, so that the first results keep their keys.
        found = super().settings()
        return found if self.target != "union" else {k: found[k] for k in found if k != "target"}

    @property
    def label(self) -> str:
        return self.name if self.target == "union" else f"{self.name}-{self.target}"

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        if not sample.mask.any():
            return torch.zeros_like(image)
        regions = np.zeros(sample.mask.shape, dtype=np.int64)
        if self.target == "class":
            regions = np.where(sample.mask, sample.class_map.astype(np.int64) + 1, 0)
        elif self.target == "instance":
            if sample.instances is None:
                raise UnsegError(f"{sample.name} has no instances: use --target union or class")
            regions = np.where(sample.mask, sample.instances.astype(np.int64), 0)
        ids = np.unique(regions[regions > 0])[:255]
        index = np.zeros(regions.shape, dtype=np.uint8)
        for number, region in enumerate(ids, start=1):
            index[regions == region] = number
        with torch.no_grad():
            view = View(image, sample.mask, index, len(ids))
            return noise_fields(self._source, [view])[0].float().cpu()
