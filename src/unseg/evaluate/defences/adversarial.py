"""Adversarial training: every batch is moved against the victim's present loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unseg.evaluate.defences.base import Defence


class Adversarial(Defence):
    """Projected gradient ascent in the maximum norm (Madry et al., arXiv 1706.06083).

    It starts at the image itself, so that a run repeats from its seed. Training takes
    ``1 + steps`` times as long.

    Args:
        radius: largest change, in 8-bit steps; the noise's own bound takes its shortcut away.
        steps: of the ascent, each ``1.5 * radius / steps`` long.
    """

    name = "adversarial"
    summary = "adversarial training (PGD)"

    def __init__(self, *, radius: float = 8.0, steps: int = 2) -> None:
        self.radius, self.steps = radius, steps

    def attack(self, images: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        radius = self.radius / 255
        moved = images.detach()
        for _ in range(self.steps):
            moved.requires_grad_()
            (gradient,) = torch.autograd.grad(loss(moved), moved)
            moved = moved.detach() + 1.5 * radius / self.steps * gradient.sign()
            moved = torch.minimum(torch.maximum(moved, images - radius), images + radius)
            moved = moved.clamp(0, 1)
        return moved.detach()
