"""Differentiable augmentation between generator and surrogate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


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


def apply_jitter(image: Tensor, mask: Tensor, jitter: Jitter, size: int) -> tuple[Tensor, Tensor]:
    """Flip, resize, then crop or pad one image and its mask to a square.

    Args:
        image: (3, H, W), float, in [0, 255].
        mask: (1, H, W), float, in [0, 1].
        jitter: the draw.
        size: side of the output.

    Returns:
        (3, size, size) image padded with grey 127.5, and (1, size, size) mask padded with 0.
    """
    both = torch.cat([image, mask])
    if jitter.flip:
        both = both.flip(-1)
    factor = size * jitter.scale / max(both.shape[-2:])
    target = [max(1, round(side * factor)) for side in both.shape[-2:]]
    # Antialiased, as a trainer's image loader does it: otherwise shrinking would let through
    # fine noise that no victim ever sees.
    both = F.interpolate(both[None], target, mode="bilinear", antialias=True)[0]
    top = round(jitter.top * max(0, target[0] - size))
    left = round(jitter.left * max(0, target[1] - size))
    both = both[:, top : top + size, left : left + size]
    play_y, play_x = size - both.shape[-2], size - both.shape[-1]
    y, x = round(jitter.top * play_y), round(jitter.left * play_x)
    pad = (x, play_x - x, y, play_y - y)
    return F.pad(both[:3], pad, value=127.5), F.pad(both[3:], pad)


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


def colour(image: Tensor, rng: torch.Generator) -> Tensor:
    """Contrast and brightness of each channel moved by up to 20 %."""
    gain = torch.tensor([_uniform(0.8, 1.2, rng) for _ in range(3)], device=image.device)
    shift = torch.tensor([_uniform(-25, 25, rng) for _ in range(3)], device=image.device)
    return image * gain[None, :, None, None] + shift[None, :, None, None]


DEGRADATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "jpeg": jpeg,
    "blur": blur,
    "resize": resize,
    "grey": grey,
    "colour": colour,
}


def degrade(image: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """With a probability, pass a batch through one random degradation.

    Args:
        image: (B, 3, H, W), float, in [0, 255].
        probability: of any degradation at all.
        rng: CPU generator.
    """
    if _uniform(0, 1, rng) >= probability:
        return image
    names = list(DEGRADATIONS)
    chosen = names[int(torch.randint(len(names), (), generator=rng))]
    return DEGRADATIONS[chosen](image, rng).clamp(0, 255)
