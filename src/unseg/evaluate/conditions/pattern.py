"""One fixed block pattern whose sign flips at the mask border: the strong hand-made baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import HandMade
from unseg.noise import Budget


class Pattern(HandMade):
    """A square tile of random -1/+1 colour blocks, the same for all images, tiled from the corner.

    Inside the mask the tile is added, outside its negative.

    Args:
        tile: side of the tile in pixels.
        block: side of one block of constant colour in pixels; divides ``tile``.
        budget: the bound, in 8-bit steps.
    """

    name = "pattern"
    summary = "one fixed block pattern, sign flipped at the mask border"

    def __init__(self, *, tile: int = 64, block: int = 16, budget: Budget = Budget()) -> None:
        if tile < 1 or block < 1 or tile % block:
            raise UnsegError(f"pattern: block {block} must divide tile {tile}")
        super().__init__(budget=budget)
        self.tile = tile
        self.block = block

    def generator(self, sample: Sample, seed: int) -> torch.Generator:
        # One pattern for the whole set: the sample must not matter.
        return torch.Generator().manual_seed(seed)

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        side = self.tile // self.block
        signs = torch.randint(0, 2, (3, side, side), generator=rng).float() * 2 - 1
        tile = signs.repeat_interleave(self.block, 1).repeat_interleave(self.block, 2)
        mask = torch.from_numpy(sample.mask)
        height, width = mask.shape
        rows, columns = torch.arange(height) % self.tile, torch.arange(width) % self.tile
        return tile[:, rows][:, :, columns] * torch.where(mask, 1.0, -1.0)
