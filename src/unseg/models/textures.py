"""Textures: waves in colours, chosen cell by cell.

Free noise drifts to one colour inside the object and its opposite outside, which a victim's colour
jitter removes and natural colour drowns. Textures are read by every convolution, at every place,
under crops and flips, so the noise says what it says in textures only. A network chooses one at
every cell of a coarse grid; :mod:`~unseg.models.waves` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unseg.key import Key
from unseg.models.waves import Drawing, TextureTable, turn_hues

#: Orientations of every period, in fractions of pi.
ANGLES = (0.0, 0.25, 0.5, 0.75)
#: Directions of textures that name a class, in fractions of pi: of one wave, then of two. All stay
#: apart under a mirror and at every scale, which a trainer's random scales change by four.
CODE_ANGLES = ((0.5,), (0.0,), (0.25,), (0.5, 0.0), (0.25, 0.75), (0.5, 0.25), (0.0, 0.25))
#: Hues of the textures that name a class, (R, G, B) in the bound: blue, which the eye resolves
#: worst by far, with green against red, which natural images have least of; blue alone; with
#: magenta. None is another's negative, which half a period's shift would make equal.
CODE_COLOURS = ((-0.6, 0.6, 1.0), (0.0, 0.0, 1.0), (0.6, -0.6, 1.0))
#: The code that leaves the texture to the image: like regions get like textures.
BY_LOOK = -1
#: Side of the block of cells that share a texture of the learned choice.
TOGETHER = 8
#: Where the search begins: period and direction of the hand-made waves that do most for what is
#: seen of them, by how much they lead before the softmax, and the logits of their hue: blue, with
#: green against red.
START, START_LEAD, START_HUE = (12.0, 0.5), 0.9, (-0.7, 0.7, 2.5)


def code_entries(
    periods: Sequence[float],
) -> list[tuple[float, tuple[float, ...], tuple[float, ...]]]:
    """Period, directions and hue of every code, the first of them as unlike as can be.

    Directions change first, then hues, and both come again only with another period.

    Example:
        >>> entries = code_entries((12.0, 18.0))
        >>> len(entries), len({angles for _, angles, _ in entries[:7]}), entries[0]
        (42, 7, (12.0, (0.5,), (-0.6, 0.6, 1.0)))
    """
    return [
        (period, angles, colour)
        for period in periods
        for colour in CODE_COLOURS
        for angles in CODE_ANGLES
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

    vectors: Float[Tensor, "k w 2"]
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
            table.phases(embedding, key, self.LABEL),
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

    vectors: Float[Tensor, "k 1 2"]

    def __init__(self, channels: int, periods: Sequence[float], sharpness: float = 4.0) -> None:
        super().__init__()
        entries = [(period, (angle,), ()) for period in periods for angle in ANGLES]
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

    def _begin(self, entries: Sequence[tuple[float, tuple[float, ...], tuple[float, ...]]]) -> None:
        """Begin with one texture everywhere: a choice at random would be one of nothing."""
        period, angle = START
        unlike = [abs(math.log(p / period)) + abs(a - angle) for p, (a,), _ in entries]
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
        table = TextureTable(self.vectors, self.vectors[:, 0, :0]).keyed(key, self.LABEL)
        hues = torch.tanh(colours + self.hues).transpose(1, 2)
        return Drawing(
            choice.float(),
            table.vectors,
            table.phases(embedding, key, self.LABEL),
            turn_hues(hues.float(), key, self.LABEL),
        )
