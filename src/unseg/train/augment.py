"""Differentiable augmentation between generator and surrogate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: What lies where a view has no image.
GREY = 127.5


def _uniform(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


@dataclass(frozen=True)
class Jitter:
    """One draw of flip and large-scale jitter (Copy-Paste, arXiv 2012.07177).

    Args:
        flip: mirror left to right.
        scale: size of the image's long side relative to the output.
        top, left: where the crop (or, below scale 1, the image) lies, in [0, 1] of the play.
    """

    flip: bool
    scale: float
    top: float
    left: float

    @classmethod
    def draw(cls, *, flip: float, low: float, high: float, rng: torch.Generator) -> Jitter:
        """Draw from a flip probability and a scale range."""
        return cls(
            _uniform(0, 1, rng) < flip,
            _uniform(low, high, rng),
            _uniform(0, 1, rng),
            _uniform(0, 1, rng),
        )


@dataclass(frozen=True)
class Cut:
    """Which part of an image a jittered view shows, and how large.

    Args:
        rows, columns: of the image.
        height, width: of what they become in the view, pixels.
    """

    rows: slice
    columns: slice
    height: int
    width: int

    @classmethod
    def of(cls, height: int, width: int, jitter: Jitter, size: int) -> Cut:
        """The part of an image of this height and width that a view of side ``size`` shows."""
        factor = size * jitter.scale / max(height, width)
        parts = []
        for side, place in ((height, jitter.top), (width, jitter.left)):
            scaled = max(1, round(side * factor))
            shown = min(size, scaled)
            first = round(place * (scaled - shown))
            start = math.floor(first / scaled * side)
            stop = min(side, math.ceil((first + shown) / scaled * side))
            parts.append((slice(start, max(start + 1, stop)), shown))
        (rows, shown_rows), (columns, shown_columns) = parts
        return cls(rows, columns, shown_rows, shown_columns)


def place(part: Tensor, cut: Cut, jitter: Jitter, size: int, padding: Tensor) -> Tensor:
    """Turn a part of an image into a square view: resize, mirror, pad.

    Args:
        part: (C, h, w), float: the cut's rows and columns.
        cut: where it came from.
        jitter: the draw.
        size: side of the view.
        padding: (C,) the value of each channel where there is no image.

    Returns:
        (C, size, size).
    """
    # Antialiased, as a trainer's image loader does it: otherwise shrinking would let through
    # fine noise that no victim ever sees.
    view = F.interpolate(part[None], (cut.height, cut.width), mode="bilinear", antialias=True)[0]
    if jitter.flip:
        view = view.flip(-1)
    result = padding[:, None, None].expand(-1, size, size).clone()
    top = round(jitter.top * (size - cut.height))
    left = round(jitter.left * (size - cut.width))
    result[:, top : top + cut.height, left : left + cut.width] = view
    return result


def apply_jitter(image: Tensor, mask: Tensor, jitter: Jitter, size: int) -> tuple[Tensor, Tensor]:
    """Cut, resize, mirror and pad one image and its mask to a square.

    Args:
        image: (3, H, W), float, in [0, 255].
        mask: (1, H, W), float, in [0, 1].
        jitter: the draw.
        size: side of the output.

    Returns:
        (3, size, size) image padded with grey 127.5, and (1, size, size) mask padded with 0.
    """
    cut = Cut.of(image.shape[-2], image.shape[-1], jitter, size)
    both = torch.cat([image, mask])[:, cut.rows, cut.columns]
    padding = both.new_tensor([GREY, GREY, GREY, 0.0])
    both = place(both, cut, jitter, size, padding)
    return both[:3], both[3:]


def jpeg(image: Tensor, rng: torch.Generator) -> Tensor:
    """Differentiable JPEG at a random quality of 50 to 95 (kornia)."""
    from kornia.enhance import jpeg_codec_differentiable

    height, width = image.shape[-2:]
    padded = F.pad(image, (0, -width % 16, 0, -height % 16), mode="replicate")
    quality = torch.tensor([_uniform(50, 95, rng)], device=image.device).expand(len(image))
    out = jpeg_codec_differentiable(padded.clamp(0, 255) / 255, quality) * 255
    return out[..., :height, :width]


def blur(image: Tensor, rng: torch.Generator) -> Tensor:
    """Gaussian blur with a sigma of 0.4 to 1.2 pixels (kornia)."""
    from kornia.filters import gaussian_blur2d

    sigma = _uniform(0.4, 1.2, rng)
    return gaussian_blur2d(image, (5, 5), (sigma, sigma))


def resize(image: Tensor, rng: torch.Generator) -> Tensor:
    """Down to 0.4 to 0.8 of the size and back."""
    small = F.interpolate(
        image, scale_factor=_uniform(0.4, 0.8, rng), mode="bilinear", antialias=True
    )
    return F.interpolate(small, image.shape[-2:], mode="bilinear")


def grey(image: Tensor, rng: torch.Generator) -> Tensor:
    """ITU-R 601 luma in all three channels."""
    weights = image.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]
    return (image * weights).sum(1, keepdim=True).expand_as(image)


def photometric(image: Tensor, rng: torch.Generator) -> Tensor:
    """PhotoMetricDistortion as trainers do it (SSD; mmsegmentation, Mask2Former), for a batch.

    Brightness by up to 32 steps, contrast and saturation by a factor of 0.5 to 1.5, hue by up to
    18 degrees, each with a probability of one half.
    """

    def chance() -> bool:
        return _uniform(0, 1, rng) < 0.5

    if chance():
        image = image + _uniform(-32, 32, rng)
    if chance():
        image = image * _uniform(0.5, 1.5, rng)
    if chance():
        image = grey(image, rng).lerp(image, _uniform(0.5, 1.5, rng))
    if chance():
        image = turn_hue(image, _uniform(-18, 18, rng))
    return image.clamp(0, 255)


def turn_hue(image: Tensor, degrees: float) -> Tensor:
    """Turn colours around the grey axis.

    Args:
        image: (B, 3, H, W), float.
        degrees: of the turn.
    """
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle) / math.sqrt(3)
    rest = (1 - cos) / 3
    circle = [cos + rest, rest - sin, rest + sin]
    matrix = image.new_tensor([circle[-i:] + circle[:-i] for i in range(3)])
    return torch.einsum("ij,bjhw->bihw", matrix, image)


DEGRADATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "jpeg": jpeg,
    "blur": blur,
    "resize": resize,
    "grey": grey,
}


def degrade(image: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """With a probability, pass a batch through one random degradation, grey half of the time.

    Grey undoes more of colour noise than all the others together, so a generator that never meets
    it has no reason to put anything into brightness ("Going Grayscale", arXiv 2111.13244).

    Args:
        image: (B, 3, H, W), float, in [0, 255].
        probability: of any degradation at all.
        rng: CPU generator.
    """
    if _uniform(0, 1, rng) >= probability:
        return image
    others = [name for name in DEGRADATIONS if name != "grey"]
    chosen = "grey"
    if _uniform(0, 1, rng) >= 0.5:
        chosen = others[int(torch.randint(len(others), (), generator=rng))]
    return DEGRADATIONS[chosen](image, rng).clamp(0, 255)
