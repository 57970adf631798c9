"""Noise of a trained generator: what this package makes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition
from unseg.models.weights.io import module_sha256
from unseg.noise import Budget


class NoiseSource(Protocol):
    """The part of a generator that a condition needs."""

    def noise(self, image: Tensor, masks: Tensor) -> Tensor:
        """(3, H, W) float in [0, 255] and (n, H, W) bool to (n, 3, H, W) float in [-1, 1]."""


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
    """Noise of a generator, prompted with the union of the foreground.

    Args:
        source: the generator.
        identity: what tells this generator from others in the result's key; by default the
            checksum of its weights.
        budget: the bound, in 8-bit steps.
    """

    name = "unseg"
    summary = "noise of the trained generator, union mask prompt"
    seeded = False

    def __init__(
        self, source: NoiseSource, *, identity: str | None = None, budget: Budget = Budget()
    ) -> None:
        super().__init__(budget=budget)
        self._source = source
        self.generator_id = identity or fingerprint(source)

    def noise(self, image: Tensor, mask: Tensor, rng: torch.Generator) -> Tensor:
        with torch.no_grad():
            return self._source.noise(image, mask[None])[0].float().cpu()
