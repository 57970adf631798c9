"""A bank of translation-invariant textures, and the choice of one at every cell.

Free noise drifts to one colour inside the object and its opposite outside, which a victim's colour
jitter removes and natural colour drowns. Textures are read by every convolution, at every place,
under crops and flips, so the noise says what it says in textures only: a plane wave is chosen by
softmax at every cell, and its colour by the noise tokens. Positive weights on one phase a wave
leave no room for colour polarity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

#: Orientations of every period, in fractions of pi.
ANGLES = (0.0, 0.25, 0.5, 0.75)
#: Directions that stay apart under a mirror, in fractions of pi, for textures that name a class.
CODE_ANGLES = (0.5, 0.0, 0.25)
#: Signs of the channels: magenta and green, which photographs have least of, yellow and blue, cyan
#: and red. None is another's negative, which half a period's shift would make equal.
CODE_COLOURS = ((1, -1, 1), (1, 1, -1), (-1, 1, 1))
#: Factor on a code's wave before tanh: nearly square, so that it uses the bound.
CODE_GAIN = 4.0
#: The code that leaves the texture to the image: like regions get like textures.
BY_LOOK = -1
#: Seed of the fixed projection that turns an image's embedding into phases.
PHASE_SEED = 7


def wave_vectors(periods: Sequence[float]) -> Float[Tensor, "k 2"]:
    """Cycles per cell of a wave of every period and orientation.

    Args:
        periods: in cells, at least 2.

    Returns:
        (4 * len(periods), 2) as (y, x).
    """
    vectors = [
        (math.sin(math.pi * angle) / period, math.cos(math.pi * angle) / period)
        for period in periods
        for angle in ANGLES
    ]
    return torch.tensor(vectors)


def wave(
    vectors: Float[Tensor, "*b k 2"], phase: Float[Tensor, "_b k"], side: int
) -> Float[Tensor, "_b k {side} {side}"]:
    """Plane waves over a square grid.

    Args:
        vectors: (K, 2) or (B, K, 2), cycles per cell as (y, x).
        phase: (B, K) in turns.
        side: of the grid.

    Returns:
        (B, K, side, side) in [-1, 1].
    """
    place = torch.arange(side, device=phase.device, dtype=torch.float32)
    rows, columns = vectors[..., :1] * place, vectors[..., 1:] * place
    turns = rows[..., :, None] + columns[..., None, :] + phase[:, :, None, None]
    return torch.sin(2 * math.pi * turns)


def image_phase(
    embedding: Float[Tensor, "b c g g"], projection: Float[Tensor, "c k"]
) -> Float[Tensor, "b k"]:
    """Phases that follow from the image alone.

    A fixed pattern could be estimated from many protected images and subtracted.

    Args:
        embedding: (B, C, g, g).
        projection: (C, K), a constant of the architecture.

    Returns:
        (B, K) in turns, 0..1.
    """
    # In double: phases of many turns, which must not depend on batch or thread count. On the CPU:
    # not every device has doubles.
    mean = embedding.detach().cpu().double().mean((2, 3))
    turns = (8 * mean @ projection.cpu().double()).remainder(1.0)
    return turns.float().to(embedding.device)


def constant_projection(embed_dim: int, count: int) -> Float[Tensor, "{embed_dim} {count}"]:
    """(C, K) the projection of :func:`image_phase`."""
    rng = torch.Generator().manual_seed(PHASE_SEED)
    return torch.randn(embed_dim, count, generator=rng)


def are_periods(values: Sequence[float]) -> bool:
    """Whether waves of these periods, in cells, can be drawn: below two one is another, longer."""
    return all(2 <= value < math.inf for value in values)


def code_entries(periods: Sequence[float]) -> list[tuple[float, float, tuple[int, ...]]]:
    """Period, direction and colour signs of every code, the first of them as unlike as can be.

    Neighbours in the list have different periods, and a direction and colour come twice only after
    all pairs of them came once.

    Example:
        >>> entries = code_entries((5.0, 9.5))
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
    """Textures that name things: period, direction and colour signs, the same in all images.

    The learned choice says where an object is. *Which* one it is, on dense label maps, a texture
    says best that never changes but for its phase; a victim's random scales leave directions and
    colours alone, so those differ first. The owner's classes ask for textures by code. Where there
    are none, the frozen encoder's embedding does: every entry has a centre, and a cell gets the
    texture of the nearest, so that like regions get like textures in every image.

    Args:
        embed_dim: channels of the image embedding, from which the phases follow, too.
        periods: of the waves, in noise-grid cells.

    The book is part of the weights (buffers): another book is another generator.
    """

    vectors: Float[Tensor, "k 2"]
    colours: Float[Tensor, "k 3"]
    centres: Float[Tensor, "k c"]
    projection: Float[Tensor, "c k"]

    def __init__(self, embed_dim: int, periods: Sequence[float]) -> None:
        super().__init__()
        entries = code_entries(periods)
        angles = torch.tensor([math.pi * angle for _, angle, _ in entries])
        cycles = torch.tensor([1 / period for period, _, _ in entries])
        self.register_buffer(
            "vectors", torch.stack([angles.sin() * cycles, angles.cos() * cycles], dim=1)
        )
        self.register_buffer("colours", torch.tensor([c for _, _, c in entries]).float())
        self.register_buffer("centres", torch.zeros(len(entries), embed_dim))
        self.register_buffer(
            "projection", constant_projection(embed_dim, len(entries)), persistent=False
        )

    def nearest(
        self, embedding: Float[Tensor, "b c g g"], side: int
    ) -> Int[Tensor, "b {side} {side}"]:
        """(B, side, side) int64, at every cell the entry whose centre is most like it."""
        cells = embedding.flatten(2).transpose(1, 2)
        apart = torch.cdist(cells, self.centres.expand(len(cells), -1, -1))
        grid = apart.argmin(-1).view(len(cells), 1, *embedding.shape[-2:])
        return F.interpolate(grid.float(), (side, side), mode="nearest")[:, 0].long()

    def forward(
        self, embedding: Float[Tensor, "b c g g"], codes: Int[Tensor, " b"], side: int
    ) -> Float[Tensor, "b 3 {side} {side}"]:
        """Noise of codes.

        Args:
            embedding: (B, C, g, g) image embedding.
            codes: (B,) int64; from 1 an entry everywhere (after the last the book starts again),
                :data:`BY_LOOK` the nearest entry at every cell.
            side: of the noise grid.

        Returns:
            (B, 3, side, side) in [-1, 1].
        """
        entry = ((codes - 1) % len(self.vectors))[:, None, None].expand(-1, side, side)
        looks = (codes == BY_LOOK)[:, None, None]
        if bool(looks.any()):
            entry = torch.where(looks, self.nearest(embedding, side), entry)
        waves = wave(self.vectors, image_phase(embedding, self.projection), side)
        chosen = torch.tanh(CODE_GAIN * waves.gather(1, entry[:, None]))
        return chosen * self.colours[entry].permute(0, 3, 1, 2)


class TextureBank(nn.Module):
    """Turns a noise feature into textured noise logits.

    Args:
        channels: of the noise feature; also the number of textures, so that the tokens' MLPs give
            each its colour (the paper's product of MLP and feature map).
        embed_dim: channels of the image embedding, from which the phases follow.
        periods: of the waves, in noise-grid cells; four orientations each. ``channels`` must be a
            multiple of their number: waves repeat with colours of their own.
        sharpness: factor on the choice's logits at the start; high is a hard choice.

    Raises:
        ValueError: when the waves do not divide the channels.
    """

    vectors: Float[Tensor, "k 2"]
    projection: Float[Tensor, "c k"]

    def __init__(
        self, channels: int, embed_dim: int, periods: Sequence[float], sharpness: float = 4.0
    ) -> None:
        super().__init__()
        if channels % len(wave_vectors(periods)):
            raise ValueError(
                f"{len(periods)} periods make {len(wave_vectors(periods))} waves, which do not "
                f"divide {channels} channels: give 1, 2, 4 or 8 periods"
            )
        self.register_buffer("vectors", torch.zeros(channels, 2), persistent=False)
        self.set_periods(periods)
        self.register_buffer(
            "projection", constant_projection(embed_dim, channels), persistent=False
        )
        self.choice = nn.Conv2d(channels, channels, 1)
        self.log_sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())

    def waves(
        self, embedding: Float[Tensor, "b c g g"], side: int
    ) -> Float[Tensor, "b k {side} {side}"]:
        """Waves with the image's phases.

        Args:
            embedding: (B, C, g, g) image embedding.
            side: of the noise grid.

        Returns:
            (B, K, side, side) in [-1, 1].
        """
        return wave(self.vectors, image_phase(embedding, self.projection), side)

    def forward(
        self,
        feature: Float[Tensor, "b k n n"],
        embedding: Float[Tensor, "b c g g"],
        colours: Float[Tensor, "b 3 k"],
        codes: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b 3 n n"]:
        """Textured noise logits.

        Args:
            feature: (B, K, G, G) noise feature.
            embedding: (B, C, g, g) image embedding.
            colours: (B, 3, K) one weight for every channel and texture, from the tokens.
            codes: (B,) int64, by how many textures the whole choice is moved on; neighbours in the
                bank differ in orientation first, then in period, then in colour.

        Returns:
            (B, 3, G, G); where one texture is chosen alone, its largest channel peaks at 1.7.
        """
        chosen = (self.choice(feature) * self.log_sharpness.exp()).softmax(dim=1)
        if codes is not None:
            order = torch.arange(chosen.shape[1], device=chosen.device) - codes[:, None]
            order = order % chosen.shape[1]
            chosen = chosen.gather(1, order[:, :, None, None].expand_as(chosen))
        colours = F.normalize(colours, dim=1) * math.sqrt(3)
        textures = chosen * self.waves(embedding, feature.shape[-1])
        return torch.einsum("bkc,bchw->bkhw", colours, textures)

    def set_periods(self, periods: Sequence[float]) -> None:
        """Give the waves other periods, as many as before; what is learned of them stays."""
        vectors = wave_vectors(periods).to(self.vectors.device)
        self.vectors = vectors.repeat(len(self.vectors) // len(vectors), 1)
