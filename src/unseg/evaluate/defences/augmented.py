"""What augmentations by kornia share: one draw for images and label maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from unseg.evaluate.defences.base import Defence


@contextmanager
def drawing_from(rng: torch.Generator) -> Iterator[None]:
    """Let what draws from torch's global generator follow ``rng``, and leave the global as it was.

    kornia takes no generator.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        yield


class Augmented(Defence):
    """A chain of kornia's augmentations on images and label maps. Hook: :meth:`chain`.

    Geometry moves label maps by nearest neighbour, so that they keep their values.
    """

    @abstractmethod
    def chain(self, side: int) -> list[Any]:
        """kornia augmentations, in order, for crops of ``side`` pixels."""

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        import kornia.augmentation as K
        from kornia.constants import DataKey, Resample

        pipeline = K.AugmentationSequential(
            *self.chain(images.shape[-1]),
            data_keys=["input", "mask"],
            extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": None}},
        )
        maps = targets if targets.ndim == 4 else targets[:, None]
        with drawing_from(rng):
            images, moved = pipeline(images, maps.float())
        return images.clamp(0, 1), moved.reshape(targets.shape).to(targets.dtype)
