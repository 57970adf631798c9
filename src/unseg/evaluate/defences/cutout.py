"""Cutout: a part of every crop erased."""

from __future__ import annotations

import torch
from torch import Tensor

from unseg.evaluate.defences.augmented import drawing_from
from unseg.evaluate.defences.base import Defence


class Cutout(Defence):
    """A rectangle of every crop is filled with grey; its labels stay (DeVries, arXiv 1708.04552).

    Args:
        smallest: least share of the area.
        largest: greatest share of the area.
    """

    name = "cutout"
    summary = "cutout: one rectangle of each crop is erased"

    def __init__(self, *, smallest: float = 0.05, largest: float = 0.25) -> None:
        self.smallest, self.largest = smallest, largest

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        import kornia.augmentation as K

        erase = K.RandomErasing((self.smallest, self.largest), (0.5, 2.0), value=0.5, p=1.0)
        with drawing_from(rng):
            return erase(images), targets
