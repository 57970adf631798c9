"""Linearly separable patches per class, fixed to image positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unseg.errors import UnsegError
from unseg.evaluate.conditions.classwise import ClassWise
from unseg.noise import Budget


class LinearlySeparable(ClassWise):
    """Every class has one vertex of a hypercube, laid over the frame as blocks of constant colour.

    Synthetic data that a linear model separates, made into patches (Yu et al., "Availability
    attacks create shortcuts", arXiv 2111.00898, section 4), here for label maps: a pixel of a class
    takes its block of the class's patch.

    Args:
        blocks: blocks along either side of the frame.
        spread: standard deviation of a block from its class's vertex, drawn for every image, as a
            share of the bound.
        budget: the bound, in 8-bit steps.
    """

    name = "lsp"
    summary = "linearly separable block patches per class, fixed to positions (LSP)"

    def __init__(self, *, blocks: int = 16, spread: float = 0.1, budget: Budget = Budget()) -> None:
        if blocks < 1:
            raise UnsegError(f"lsp's blocks are {blocks}: give at least 1")
        super().__init__(budget=budget)
        self.blocks, self.spread = blocks, spread

    def field(self, number: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        return F.interpolate(self.patch(number, rng)[None], size, mode="nearest")[0]

    def patch(self, number: int, rng: torch.Generator) -> Tensor:
        """A point of the class: (3, blocks, blocks) in [-1, 1]."""
        shape = (3, self.blocks, self.blocks)
        vertex = torch.randint(0, 2, shape, generator=self.of_class(number)).float() * 2 - 1
        return (vertex + torch.randn(shape, generator=rng) * self.spread).clamp(-1, 1)
