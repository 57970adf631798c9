"""Interactive victims of SAM's architecture: a frozen encoder, and what is trained above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.clicks import largest_component
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.clicking import ClickNetwork, ClickVictim
from unseg.evaluate.victims.frozen import Seen, moved, refuse, stacked
from unseg.models.geometry import letterbox_mask
from unseg.models.sam.base import Features, SamBase


class SamClickNetwork(ClickNetwork):
    """A :class:`ClickNetwork` around a SAM; subclasses say in ``forward`` how it answers."""

    def __init__(self, base: SamBase) -> None:
        super().__init__()
        self.base = base

    @torch.no_grad()
    def look(self, pixels: Tensor) -> Features:
        return self.base.encode(pixels)


class SamClickVictim(ClickVictim):
    """Trains on embeddings of the published photographs, computed once. Hook: :meth:`build`.

    An object to train on is the largest connected piece of a region drawn at random, if it covers
    at least ``smallest`` of the photograph.

    Args:
        size: side of the square that photographs are fitted into, in pixels, a multiple of 64.
        smallest: least share of the photograph that a training object covers.
        settings: of :class:`ClickVictim`.
    """

    def __init__(self, *, size: int = 512, smallest: float = 0.005, **settings: Any) -> None:
        super().__init__(size=size, **settings)
        self.smallest = smallest

    def batches(
        self, samples: Sequence[Sample], problem: Problem, rng: np.random.Generator
    ) -> Callable[[], tuple[Features, Tensor]]:
        seen = Seen(self._base, samples)

        def draw() -> tuple[Features, Tensor]:
            chosen = [self._object(samples, rng) for _ in range(self.batch_size)]
            targets = torch.cat([target for _, target in chosen])
            return stacked([seen[index] for index, _ in chosen]), targets

        return draw

    def open(
        self, network: nn.Module, batch: Any, training: Training, step: int
    ) -> tuple[Features, Tensor]:
        refuse(self.name, training, "batch", "attack")
        features, targets = batch
        device = self.device(network)
        return moved(features, device), targets.to(device)

    def _object(self, samples: Sequence[Sample], rng: np.random.Generator) -> tuple[int, Tensor]:
        """Number of a photograph, and an object in it: (1, 1, S / 2, S / 2) float in [0, 1]."""
        for _ in range(100):
            index = int(rng.integers(len(samples)))
            regions = samples[index].instances
            if regions is None:
                raise UnsegError(f"{samples[index].name} has no regions to click on")
            for number in rng.permutation(np.unique(regions[regions > 0])):
                piece = largest_component(regions == number)
                if piece.mean() >= self.smallest:
                    mask = torch.from_numpy(piece)[None, None]
                    return index, letterbox_mask(mask, self.size, self.size // 2)
        raise UnsegError(
            f"{self.name}: no training image has a region that covers {self.smallest:.1%} of it"
        )

    _base: SamBase
