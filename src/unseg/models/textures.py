"""Textures: plane waves in colours, chosen cell by cell and drawn at the image's own resolution.

Free noise drifts to one colour inside the object and its opposite outside, which a victim's colour
jitter removes and natural colour drowns. Textures are read by every convolution, at every place,
under crops and flips, so the noise says what it says in textures only. A network chooses one at
every cell of a coarse grid; the waves themselves are known exactly, so they are drawn pixel by
pixel and stay as fine and crisp in a large photograph as in a small one.

The owner's key turns phases, directions, periods and hues within narrow ranges: nothing public lets
anyone compute the noise of an image and subtract it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unseg.key import Key

#: Periods are given in parts of the image's long side, as if it had this many.
UNITS = 512
#: The shortest period: below two pixels of an image of 512 one wave looks like another, longer.
SHORTEST = 2.0
#: Orientations of every period, in fractions of pi.
ANGLES = (0.0, 0.25, 0.5, 0.75)
#: Directions that stay apart under a mirror, in fractions of pi, for textures that name a class.
CODE_ANGLES = (0.5, 0.0, 0.25)
#: Hues of the textures that name a class, (R, G, B) in the bound. The eye resolves blue worst by
#: far, so all are mostly blue. None is another's negative, which half a period's shift would make
#: equal.
CODE_COLOURS = ((0.0, 0.0, 1.0), (0.3, -0.3, 1.0), (-0.3, 0.3, 1.0))
#: Factor on a wave before tanh: nearly square, so that it uses the bound.
GAIN = 4.0
#: The code that leaves the texture to the image: like regions get like textures.
BY_LOOK = -1
#: Largest change that a key makes: of a period, as a factor; of a direction, in turns; of a hue, in
#: turns of red against green. Codes stay apart by more.
KEY_PERIOD, KEY_DIRECTION, KEY_HUE = 0.06, 0.015, 0.04
#: Side of the block of cells that share a texture of the learned choice.
TOGETHER = 8
#: Where the search begins: period and direction of the hand-made waves that do most for what is
#: seen of them, by how much they lead before the softmax, and the logits of their hue, blue.
START, START_LEAD, START_HUE = (12.0, 0.5), 0.9, (0.0, 0.0, 1.5)
#: Pixels drawn at a time.
BLOCK = 1 << 19


def are_periods(values: Sequence[float]) -> bool:
    """Whether waves of these periods, in 512ths of the long side, can be drawn."""
    return all(SHORTEST <= value < math.inf for value in values)


@dataclass(frozen=True)
class TextureTable:
    """The textures that a cell can have.

    Args:
        vectors: (K, 2) cycles per long side, as (y, x).
        hues: (K, 3) in [-1, 1], or (K, 0) where colours come from the tokens.
    """

    vectors: Float[Tensor, "k 2"]
    hues: Float[Tensor, "k _c"]

    @classmethod
    def of(cls, entries: Sequence[tuple[float, float, tuple[float, ...]]]) -> TextureTable:
        """A table of (period, direction in fractions of pi, hue)."""
        turned = [
            (math.sin(math.pi * angle) * UNITS / period, math.cos(math.pi * angle) * UNITS / period)
            for period, angle, _ in entries
        ]
        return cls(torch.tensor(turned), torch.tensor([hue for _, _, hue in entries]))

    def keyed(self, key: Key, label: str) -> TextureTable:
        """The owner's version: directions and periods turned within their ranges."""
        count, device = len(self.vectors), self.vectors.device
        longer = 1 + KEY_PERIOD * _signed(key, label, "period", count).to(device)
        angle = 2 * math.pi * KEY_DIRECTION * _signed(key, label, "direction", count).to(device)
        y, x = (self.vectors / longer[:, None]).unbind(1)
        cos, sin = angle.cos(), angle.sin()
        return replace(self, vectors=torch.stack([cos * y + sin * x, cos * x - sin * y], dim=1))


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
        vectors: (K, 2) cycles per long side, as (y, x).
        phases: (B, K) in turns.
        colours: (B, K, 3) in [-1, 1].
    """

    choice: Float[Tensor, "b k g g"]
    vectors: Float[Tensor, "k 2"]
    phases: Float[Tensor, "b k"]
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
        down = 2 * math.pi * vectors[:, :1] * y
        across = 2 * math.pi * (vectors[:, 1:] * x + phases[:, None])
        parts = []
        step = max(1, BLOCK // max(1, len(x) * len(choice)))
        for start in range(0, len(y), step):
            rows = slice(start, start + step)
            # sin(a + b): two products of a row and a column in place of a sine a pixel.
            waves = (
                down[:, rows].sin()[:, :, None] * across.cos()[:, None]
                + down[:, rows].cos()[:, :, None] * across.sin()[:, None]
            )
            chosen = torch.tanh(GAIN * waves) * choice[:, cell_y[rows]][:, :, cell_x]
            parts.append(torch.einsum("khw,kc->chw", chosen, colours))
        return torch.cat(parts, dim=1)


def code_entries(periods: Sequence[float]) -> list[tuple[float, float, tuple[float, ...]]]:
    """Period, direction and hue of every code, the first of them as unlike as can be.

    Neighbours in the list have different periods, and a direction and hue come twice only after
    all pairs of them came once.

    Example:
        >>> entries = code_entries((12.0, 18.0))
        >>> len(entries), len({(angle, colour) for _, angle, colour in entries[:9]})
        (18, 9)
    """
    pairs = [(angle, colour) for colour in CODE_COLOURS for angle in CODE_ANGLES]
    return [
        (periods[(place + turn) % len(periods)], *pair)
        for turn in range(len(periods))
        for place, pair in enumerate(pairs)
    ]


class Codebook(nn.Module):
    """Textures that name things: period, direction and hue, the same in all images.

    The learned choice says where an object is. *Which* one it is, on dense label maps, a texture
    says best that never changes but for its phase; a victim's random scales leave directions and
    hues alone, so those differ first. The owner's classes ask for textures by code. Where there
    are none, the frozen encoder's embedding does: every entry has a centre, and a cell gets the
    texture of the nearest, so that like regions get like textures in every image.

    Args:
        embed_dim: channels of the image embedding, from which the phases follow, too.
        periods: of the waves, in 512ths of the long side.

    The book is part of the weights (buffers): another book is another generator.
    """

    LABEL = "codebook"

    vectors: Float[Tensor, "k 2"]
    colours: Float[Tensor, "k 3"]
    centres: Float[Tensor, "k c"]

    def __init__(self, embed_dim: int, periods: Sequence[float]) -> None:
        super().__init__()
        table = TextureTable.of(code_entries(periods))
        self.register_buffer("vectors", table.vectors)
        self.register_buffer("colours", table.hues)
        self.register_buffer("centres", torch.zeros(len(table.vectors), embed_dim))

    def nearest(
        self, embedding: Float[Tensor, "b c g g"], side: int
    ) -> Int[Tensor, "b {side} {side}"]:
        """(B, side, side) int64, at every cell the entry whose centre is most like it."""
        cells = embedding.flatten(2).transpose(1, 2)
        apart = torch.cdist(cells, self.centres.expand(len(cells), -1, -1))
        grid = apart.argmin(-1).view(len(cells), 1, *embedding.shape[-2:])
        return F.interpolate(grid.float(), (side, side), mode="nearest")[:, 0].long()

    def forward(
        self,
        embedding: Float[Tensor, "b c g g"],
        codes: Int[Tensor, " b"],
        side: int,
        key: Key,
    ) -> Drawing:
        """Noise of codes.

        Args:
            embedding: (B, C, g, g) image embedding.
            codes: (B,) int64; from 1 an entry everywhere (after the last the book starts again),
                :data:`BY_LOOK` the nearest entry at every cell.
            side: of the noise grid.
            key: the owner's.
        """
        count = len(self.vectors)
        entry = ((codes - 1) % count)[:, None, None].expand(-1, side, side)
        looks = (codes == BY_LOOK)[:, None, None]
        if bool(looks.any()):
            entry = torch.where(looks, self.nearest(embedding, side), entry)
        colours = self.colours.expand(len(codes), -1, -1)
        table = TextureTable(self.vectors, self.colours).keyed(key, self.LABEL)
        return Drawing(
            F.one_hot(entry, count).permute(0, 3, 1, 2).float(),
            table.vectors,
            image_phase(embedding, key, self.LABEL, count),
            turn_hues(colours, key, self.LABEL),
        )


class TextureBank(nn.Module):
    """Chooses a texture at every cell from a noise feature.

    Args:
        channels: of the noise feature; also the number of textures, so that the tokens' MLPs give
            each its colour (the paper's product of MLP and feature map).
        periods: of the waves, in 512ths of the long side; four orientations each. ``channels`` must
            be a multiple of their number: waves repeat with colours of their own.
        sharpness: factor on the choice's logits at the start; high is a hard choice.

    Raises:
        ValueError: when the waves do not divide the channels.
    """

    LABEL = "bank"

    vectors: Float[Tensor, "k 2"]

    def __init__(self, channels: int, periods: Sequence[float], sharpness: float = 4.0) -> None:
        super().__init__()
        entries = [(period, angle, ()) for period in periods for angle in ANGLES]
        if channels % len(entries):
            raise ValueError(
                f"{len(periods)} periods make {len(entries)} waves, which do not "
                f"divide {channels} channels: give 1, 2, 4 or 8 periods"
            )
        vectors = TextureTable.of(entries * (channels // len(entries))).vectors
        self.register_buffer("vectors", vectors, persistent=False)
        self.choice = nn.Conv2d(channels, channels, 1)
        self._begin(entries)
        self.log_sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())
        self.hues = nn.Parameter(torch.tensor(START_HUE)[:, None].repeat(1, channels))

    def _begin(self, entries: Sequence[tuple[float, float, tuple[float, ...]]]) -> None:
        """Begin with one texture everywhere: a choice at random would be one of nothing."""
        period, angle = START
        unlike = [abs(math.log(p / period)) + abs(a - angle) for p, a, _ in entries]
        nn.init.normal_(self.choice.weight, std=0.01)
        assert self.choice.bias is not None
        nn.init.zeros_(self.choice.bias)
        with torch.no_grad():
            self.choice.bias[unlike.index(min(unlike))] = START_LEAD

    def forward(
        self,
        feature: Float[Tensor, "b k n n"],
        embedding: Float[Tensor, "b c g g"],
        colours: Float[Tensor, "b 3 k"],
        codes: Int[Tensor, " b"] | None,
        key: Key,
    ) -> Drawing:
        """One texture a cell.

        The choice is hard, as what is published must be crisp; its gradient is the softmax's. It is
        the same in a block of cells: a texture is read where several periods stand side by side.

        Args:
            feature: (B, K, G, G) noise feature.
            embedding: (B, C, g, g) image embedding.
            colours: (B, 3, K) from the tokens, added to the logits of the textures' hues.
            codes: (B,) int64, by how many textures the whole choice is moved on; neighbours in the
                bank differ in orientation first, then in period, then in colour.
            key: the owner's.
        """
        logits = F.avg_pool2d(self.choice(feature), TOGETHER, ceil_mode=True)
        soft = (logits * self.log_sharpness.exp()).softmax(dim=1)
        if codes is not None:
            order = torch.arange(soft.shape[1], device=soft.device) - codes[:, None]
            order = order % soft.shape[1]
            soft = soft.gather(1, order[:, :, None, None].expand_as(soft))
        hard = torch.zeros_like(soft).scatter(1, soft.argmax(dim=1, keepdim=True), 1.0)
        choice = hard + (soft - soft.detach()) if torch.is_grad_enabled() else hard
        side = feature.shape[-1]
        choice = F.interpolate(choice, scale_factor=TOGETHER, mode="nearest")[..., :side, :side]
        table = TextureTable(self.vectors, self.vectors[:, :0]).keyed(key, self.LABEL)
        hues = torch.tanh(colours + self.hues).transpose(1, 2)
        return Drawing(
            choice.float(),
            table.vectors,
            image_phase(embedding, key, self.LABEL, soft.shape[1]),
            turn_hues(hues.float(), key, self.LABEL),
        )
