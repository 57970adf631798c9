"""Waves: what textures are made of, turned by the owner's key and drawn pixel by pixel.

Waves are known exactly; only which one a cell of a coarse grid has comes from a network. So they
stay as fine and crisp in a large photograph as in a small one.

The owner's key turns phases, directions, periods and hues within narrow ranges: nothing public lets
anyone compute the noise of an image and subtract it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from unseg.key import Key

#: Periods are given in parts of the image's long side, as if it had this many.
UNITS = 512
#: The shortest period: below two pixels of an image of 512 one wave looks like another, longer.
SHORTEST = 2.0
#: Factor on a wave before tanh: nearly square, so that it uses the bound.
GAIN = 4.0
#: Largest change that a key makes: of a period, as a factor; of a direction, in turns; of a hue, in
#: turns of red against green. Codes stay apart by more.
KEY_PERIOD, KEY_DIRECTION, KEY_HUE = 0.06, 0.015, 0.04
#: Pixels drawn at a time.
BLOCK = 1 << 19


def are_periods(values: Sequence[float]) -> bool:
    """Whether waves of these periods, in 512ths of the long side, can be drawn."""
    return all(SHORTEST <= value < math.inf for value in values)


@dataclass(frozen=True)
class TextureTable:
    """The textures that a cell can have: each nearly the sign of the sum of W plane waves.

    One wave is a stripe, two are a checkerboard. What has fewer than W repeats its first.

    Args:
        vectors: (K, W, 2) cycles per long side, as (y, x).
        hues: (K, 3) in [-1, 1], or (K, 0) where colours come from the tokens.
    """

    vectors: Float[Tensor, "k w 2"]
    hues: Float[Tensor, "k _c"]

    @classmethod
    def of(
        cls, entries: Sequence[tuple[float, tuple[float, ...], tuple[float, ...]]]
    ) -> TextureTable:
        """A table of (period, directions in fractions of pi, hue)."""
        most = max(len(angles) for _, angles, _ in entries)
        waves = [
            [
                (math.sin(math.pi * angle) * UNITS / period,
                 math.cos(math.pi * angle) * UNITS / period)
                for angle in (*angles, *angles[:1] * (most - len(angles)))
            ]
            for period, angles, _ in entries
        ]  # fmt: skip
        return cls(torch.tensor(waves), torch.tensor([hue for *_, hue in entries]))

    def keyed(self, key: Key, label: str) -> TextureTable:
        """The owner's version: directions and periods turned within their ranges."""
        count, device = len(self.vectors), self.vectors.device
        longer = 1 + KEY_PERIOD * _signed(key, label, "period", count).to(device)
        angle = 2 * math.pi * KEY_DIRECTION * _signed(key, label, "direction", count).to(device)
        y, x = (self.vectors / longer[:, None, None]).unbind(2)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        return replace(self, vectors=torch.stack([cos * y + sin * x, cos * x - sin * y], dim=2))

    def phases(
        self, embedding: Float[Tensor, "b c g g"], key: Key, label: str
    ) -> Float[Tensor, "b k w"]:
        """Phases that follow from the image and the key, in turns; see :func:`image_phase`."""
        count, waves, _ = self.vectors.shape
        found = image_phase(embedding, key, label, count * waves).view(-1, count, waves)
        repeated = (self.vectors == self.vectors[:, :1]).all(2)
        return torch.where(repeated, found[..., :1], found)


@lru_cache(maxsize=32)
def _signed(key: Key, label: str, what: str, count: int) -> Float[Tensor, " {count}"]:
    """Numbers in [-1, 1) that only the key's owner knows."""
    return 2 * torch.tensor(key.uniforms(count, label, what)) - 1


def turn_hues(colours: Float[Tensor, "b k 3"], key: Key, label: str) -> Float[Tensor, "b k 3"]:
    """Turn red against green as the key says, entry by entry; blue stays.

    Args:
        colours: (B, K, 3) in [-1, 1].
        key: the owner's.
        label: of the table.

    Returns:
        (B, K, 3) in [-1, 1].
    """
    angle = 2 * math.pi * KEY_HUE * _signed(key, label, "hue", colours.shape[1]).to(colours)
    red, green, blue = colours.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos * red - sin * green, sin * red + cos * green, blue], dim=-1)
    return turned.clamp(-1, 1)


def image_phase(
    embedding: Float[Tensor, "b c g g"], key: Key, label: str, count: int
) -> Float[Tensor, "b {count}"]:
    """Phases that follow from the image and the owner's key.

    A fixed pattern could be estimated from many protected images and subtracted.

    Args:
        embedding: (B, C, g, g).
        key: the owner's.
        label: of the table.
        count: phases wanted.

    Returns:
        (B, count) in turns, 0..1.
    """
    # In double: phases of many turns, which must not depend on batch or thread count. On the CPU:
    # not every device has doubles.
    mean = embedding.detach().cpu().double().mean((2, 3))
    projection = _projection(key, label, mean.shape[1], count)
    return (8 * mean @ projection).remainder(1.0).float().to(embedding.device)


@lru_cache(maxsize=8)
def _projection(key: Key, label: str, channels: int, count: int) -> Float[Tensor, "c k"]:
    """Numbers of unit variance that only the key's owner knows."""
    # Not from torch's generator, whose seed has few enough bits to be tried out.
    numbers = torch.tensor(key.uniforms(channels * count, label, "phases"), dtype=torch.float64)
    return ((numbers - 0.5) * math.sqrt(12)).view(channels, count)


@dataclass(frozen=True)
class Window:
    """Rows and columns of an image.

    Args:
        height, width: of the whole image, pixels.
        rows, columns: which of its pixels, with both ends given.
    """

    height: int
    width: int
    rows: slice
    columns: slice

    @classmethod
    def whole(cls, height: int, width: int) -> Window:
        """All of an image."""
        return cls(height, width, slice(0, height), slice(0, width))


@dataclass(frozen=True)
class Drawing:
    """Noise of a batch before it is drawn: which texture every cell has.

    The grid covers the model's square frame, in which an image's long side fills the side and the
    rest is padding on the right or below.

    Args:
        choice: (B, K, G, G), one at the chosen texture of a cell and zero elsewhere.
        vectors: (K, W, 2) cycles per long side, as (y, x); see :class:`TextureTable`.
        phases: (B, K, W) in turns.
        colours: (B, K, 3) in [-1, 1].
    """

    choice: Float[Tensor, "b k g g"]
    vectors: Float[Tensor, "k w 2"]
    phases: Float[Tensor, "b k w"]
    colours: Float[Tensor, "b k 3"]

    def paint(self, index: int, window: Window) -> Float[Tensor, "3 h w"]:
        """Draw a part of one image's noise, differentiable in choice and colours.

        Args:
            index: of the image in the batch.
            window: which part of it.

        Returns:
            (3, h, w) in [-1, 1].
        """
        choice, grid = self.choice[index], self.choice.shape[-1]
        long = max(window.height, window.width)
        device = choice.device

        def places(part: slice) -> Tensor:
            return (torch.arange(part.start, part.stop, device=device) + 0.5) / long

        y, x = places(window.rows), places(window.columns)
        cell_y, cell_x = ((place * grid).long().clamp(max=grid - 1) for place in (y, x))
        vectors, phases, colours = self.vectors, self.phases[index], self.colours[index]
        if not (torch.is_grad_enabled() and (choice.requires_grad or colours.requires_grad)):
            # Without a gradient only the textures that are there count.
            there = choice[:, cell_y.min() : cell_y.max() + 1, cell_x.min() : cell_x.max() + 1]
            used = there.flatten(1).any(dim=1).nonzero()[:, 0]
            choice, vectors, phases, colours = (
                part[used] for part in (choice, vectors, phases, colours)
            )
        down = 2 * math.pi * vectors[..., :1] * y
        across = 2 * math.pi * (vectors[..., 1:] * x + phases[..., None])
        # sin(a + b): products of a row and a column in place of a sine a pixel.
        upright = torch.cat([down.sin(), down.cos()], dim=1) / vectors.shape[1]
        level = torch.cat([across.cos(), across.sin()], dim=1)
        parts = []
        step = max(1, BLOCK // max(1, len(x) * len(choice)))
        for start in range(0, len(y), step):
            rows = slice(start, start + step)
            waves = upright[..., rows].transpose(1, 2) @ level
            chosen = torch.tanh(GAIN * waves) * choice[:, cell_y[rows]][:, :, cell_x]
            parts.append(torch.einsum("khw,kc->chw", chosen, colours))
        return torch.cat(parts, dim=1)
