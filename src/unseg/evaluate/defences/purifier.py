"""A denoising auto-encoder trained on clean photographs, knowing nothing of the protection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unseg.evaluate.defences.learned import Restoring

CELLS = (1, 2, 4, 8, 16)
"""Sides of the cells of constant noise, in pixels."""


def draw_noise(size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Noise of a random scale, sharpness and colourfulness.

    Args:
        size: height and width.
        rng: source of randomness.

    Returns:
        (3, H, W) float, in [-1, 1].
    """
    kind = torch.randint(len(CELLS) * 4, (), generator=rng).item()
    cell = CELLS[int(kind) // 4]
    grid = torch.randn(1, 3, *(-(-side // cell) for side in size), generator=rng)
    grid = grid.sign() if kind % 2 else (grid / 2).clamp(-1, 1)
    mode = "nearest" if kind // 2 % 2 else "bilinear"
    large = F.interpolate(grid, scale_factor=float(cell), mode=mode)[0]
    return large[:, : size[0], : size[1]]


class Purifier(Restoring):
    """Learns to take bounded noise of many scales away, and to leave clean images alone.

    Args:
        bound: largest amplitude of the noise it learns on, in 8-bit steps; every crop's is drawn
            from 0 up.
        settings: of :class:`Restoring`.
    """

    name = "purifier"
    summary = "denoising auto-encoder trained on other, clean photographs"

    def __init__(self, *, bound: float = 10.0, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.bound = bound

    def damage(self, crops: Tensor, rng: torch.Generator) -> Tensor:
        size = (crops.shape[-2], crops.shape[-1])
        noise = torch.stack([draw_noise(size, rng) for _ in crops])
        amplitude = self.bound * torch.rand(len(crops), 1, 1, 1, generator=rng)
        return (crops + amplitude * noise).clamp(0, 255)
