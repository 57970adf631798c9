"""What every defence does: change stored images, or the batches, before a trainer uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.evaluate.settings import Configured

if TYPE_CHECKING:
    from unseg.datasets.samples import Sample


class Defence(Configured):
    """One file a defence. Hooks, all optional: clean test images are never defended.

    :meth:`prepare` looks at the whole published set, :meth:`stored` changes one image before
    training, :meth:`batch` changes a batch, and :meth:`attack` makes it adversarial. The last two
    reach victims that train on crops with label maps (``SemanticVictim``).
    """

    def prepare(self, published: Sequence[Sample], seed: int) -> None:
        """Learn from the published training set (or from other data) before :meth:`stored`."""

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB to the same shape and type."""
        return image

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (B, 3, S, S) float, in [0, 1].
            targets: (B, 1, S, S) float in {0, 1}, or (B, S, S) int64 class indices, 255 void.
            rng: CPU generator, the only source of randomness allowed here.

        Returns:
            Images and targets of the same shapes and types.
        """
        return images, targets

    def attack(self, images: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Move images so that the victim's present loss rises (adversarial training).

        Args:
            images: (B, 3, S, S) float, in [0, 1].
            loss: the victim's loss of such images on this batch's targets, differentiable.

        Returns:
            Images of the same shape, in [0, 1].
        """
        return images


class NoDefence(Defence):
    """The images as published."""

    name = "none"
    summary = "the images as published"
