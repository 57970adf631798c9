"""The bound: how noise is added to an image, rounded and measured.

Everything that adds noise (training, protection, baselines) goes through :func:`compose`, and
everything that rounds goes through :func:`quantise`. Images have C channels: 3 (RGB), or 1 (grey).
Nothing here imports from the package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

#: Shares of linear red, green and blue in what the eye takes for brightness (ITU-R BT.709).
LUMINANCE = (0.2126, 0.7152, 0.0722)
#: Share of the bound that green may take to keep the brightness. On skin it takes 0.3 of it.
MOST_GREEN = 0.35


@dataclass(frozen=True)
class Budget:
    """How far a pixel may move, in 8-bit steps.

    Args:
        foreground: largest change inside the mask, 0..255 (the paper deploys 8).
        background: largest change outside it, 0..255 (the paper deploys 2).

    Raises:
        ValueError: when a value is not a finite number in 0..255.
    """

    foreground: float = 8.0
    background: float = 2.0

    def __post_init__(self) -> None:
        for name in ("foreground", "background"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 255):
                raise ValueError(f"budget {name} is {value}: expected 8-bit steps in 0..255")

    @classmethod
    def of(cls, value: object) -> Budget:
        """A budget from what a caller gives: itself, a pair, or the foreground's number alone.

        The background then has a quarter of it, as in the paper.

        Raises:
            TypeError: when it is none of these.
            ValueError: when a number is out of range.

        Example:
            >>> Budget.of(4), Budget.of((8, 0))
            (Budget(foreground=4.0, background=1.0), Budget(foreground=8.0, background=0.0))
        """
        if isinstance(value, Budget):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return cls(float(value), value / 4)
        if isinstance(value, tuple | list) and len(value) == 2:
            return cls(float(value[0]), float(value[1]))
        raise TypeError(
            "expected a Budget, a number of 8-bit steps, or (foreground, background), not "
            f"{type(value).__name__}"
        )

    def amplitude(self, mask: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Largest change at every pixel, in 8-bit steps, for a mask in [0, 1] of any shape."""
        return mask * self.foreground + (1 - mask) * self.background


def compose(
    image: Float[Tensor, "b c h w"],
    noise: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "b 1 h w"],
    budget: Budget,
) -> Float[Tensor, "b c h w"]:
    """Add bounded noise to an image (paper, section 3; differentiable in ``noise``).

    Args:
        image: (B, C, H, W), float, in [0, 255].
        noise: (B, C, H, W), float, in [-1, 1].
        mask: (B, 1, H, W), float, in [0, 1]; 1 is foreground.
        budget: the bound, in 8-bit steps.

    Returns:
        (B, C, H, W) float in [0, 255]; ``|result - image|`` never exceeds the budget.

    Example:
        >>> image = torch.full((1, 3, 2, 2), 100.0)
        >>> mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        >>> compose(image, torch.ones_like(image), mask, Budget(8, 2))[0, 0]
        tensor([[108., 102.],
                [102., 102.]])
    """
    return (image + noise.clamp(-1, 1) * budget.amplitude(mask)).clamp(0, 255)


def without_brightness(
    noise: Float[Tensor, "*batch 3 h w"], image: Float[Tensor, "*batch 3 h w"]
) -> Float[Tensor, "*batch 3 h w"]:
    """Noise of red and blue whose green takes back what they add to the brightness.

    Eyes resolve fine detail in brightness, and hardly any in colour alone. How much green that
    takes depends on the pixel: a step of a dark value is less light than one of a bright value.
    Where it would take more than :data:`MOST_GREEN`, on pure red above all, all three are less:
    stripes of one brightness that turn the hue so far do show.

    Args:
        noise: (..., 3, H, W), float, in [-1, 1]; its green is replaced.
        image: the same shape, float, in [0, 255], sRGB.

    Returns:
        The same shape, in [-1, 1]; differentiable in ``noise``.

    Example:
        >>> grey = torch.full((3, 1, 1), 128.0)
        >>> red_and_blue = torch.tensor([1.0, 0.0, -1.0])[:, None, None]
        >>> without_brightness(red_and_blue, grey).flatten()
        tensor([ 1.0000, -0.1963, -1.0000])
    """
    red, green, blue = (
        share * _light_of_a_step().to(image.device)[plane.round().clamp(0, 255).int()]
        for share, plane in zip(LUMINANCE, image.unbind(-3), strict=True)
    )
    of_red, _, of_blue = noise.unbind(-3)
    balance = -(red * of_red + blue * of_blue) / green
    whole = torch.stack([of_red, balance, of_blue], dim=-3)
    return whole / (balance.abs() / MOST_GREEN).clamp(min=1.0).unsqueeze(-3)


@cache
def _light_of_a_step() -> Float[Tensor, " 256"]:
    """(256,): how much light one step more is, for every value of sRGB."""
    value = torch.arange(256) / 255
    bright = 2.4 / 1.055 * ((value + 0.055) / 1.055) ** 1.4
    return torch.where(value <= 0.04045, 1 / 12.92, bright)


def quantise(
    protected: Float[Tensor, "b c h w"],
    image: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "b 1 h w"],
    budget: Budget,
) -> Float[Tensor, "b c h w"]:
    """Round to whole 8-bit steps without leaving the budget.

    Rounding to nearest could step over a bound that is not a whole number, so the rounded change
    is clipped to the largest whole step inside it.

    Args:
        protected: (B, C, H, W), float, in [0, 255], from :func:`compose`.
        image: (B, C, H, W), float holding whole numbers in [0, 255].
        mask: (B, 1, H, W), float, in [0, 1].
        budget: the bound, in 8-bit steps.

    Returns:
        (B, C, H, W) float holding whole numbers in [0, 255].
    """
    limit = torch.floor(budget.amplitude(mask) + 1e-6)
    change = torch.round(protected - image)
    return (image + torch.maximum(torch.minimum(change, limit), -limit)).clamp(0, 255)


@dataclass(frozen=True)
class Change:
    """Largest absolute change, in 8-bit steps, inside and outside the mask (0 if that is empty)."""

    inside: float
    outside: float

    def within(self, budget: Budget, tolerance: float = 1e-6) -> bool:
        """Whether both figures keep the budget."""
        return (
            self.inside <= budget.foreground + tolerance
            and self.outside <= budget.background + tolerance
        )


def measure(
    before: Shaped[Tensor, "_c _h _w"],
    after: Shaped[Tensor, "_c _h _w"],
    mask: Shaped[Tensor, "_h _w"],
) -> Change:
    """Measure the largest change of a pixel, in the units of the inputs.

    Args:
        before: (3, H, W) or (C, H, W), any numeric dtype.
        after: the same shape.
        mask: (H, W), bool or {0, 1}; true is foreground.

    Returns:
        The largest absolute change inside and outside the mask.

    Raises:
        ValueError: when the shapes differ.
    """
    if before.shape != after.shape or before.shape[-2:] != mask.shape:
        raise ValueError(
            f"shapes differ: before {tuple(before.shape)}, after {tuple(after.shape)}, "
            f"mask {tuple(mask.shape)}"
        )
    change = (after.double() - before.double()).abs().amax(dim=0)
    inside = change[mask.bool()]
    outside = change[~mask.bool()]
    return Change(
        float(inside.max()) if inside.numel() else 0.0,
        float(outside.max()) if outside.numel() else 0.0,
    )
