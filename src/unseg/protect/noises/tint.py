"""Images stored in colour that have none: a tint says more there than any texture.

Microscopes, X-rays and scanned film are often published as colour files of grey pixels. Their own
contrast drowns a texture, and small objects have no room for one; but one colour, which nothing in
them ever had, can be read from a single pixel (docs/experiments/nuclei.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unseg.protect.noises.base import NoiseSource
from unseg.protect.view import View

#: Signs of the channels. Unlike a wave's, a tint's negative is another tint. The first is far from
#: the purple of stained tissue: where some images have colour, no natural cue should agree with it.
TINTS = ((-1, 1, 1), (-1, 1, -1), (1, 1, -1), (-1, -1, 1), (1, -1, 1), (1, -1, -1))
#: Largest spread of a grey pixel's channels, in 8-bit steps: JPEG's chroma is never quite zero.
SPREAD = 4.0
#: Share of pixels that may have more: a ruler, a stamp.
COLOURED = 0.001


class Tint(NoiseSource):
    """A colour for the foreground, and for every region of its own; the background stays grey.

    Equal codes have equal colours in all images. It suits files of three channels without colour;
    one channel has no colour to give.
    """

    name = "tint"
    summary = "one colour for each class, for colour files of grey pixels"

    def suits(self, view: View) -> bool:
        return not view.grey and is_colourless(view.image)

    def fields(self, views: Sequence[View]) -> list[Tensor]:
        return [_tinted(view) for view in views]


def is_colourless(image: Tensor) -> bool:
    """Whether an image of three channels has no colour.

    Args:
        image: (3, h, w), float, in [0, 255].

    Example:
        >>> grey = torch.rand(1, 8, 8).expand(3, -1, -1) * 255
        >>> is_colourless(grey), is_colourless(grey * torch.tensor([1.0, 0.9, 0.8])[:, None, None])
        (True, False)
    """
    spread = image.amax(dim=0) - image.amin(dim=0)
    return float((spread > SPREAD).float().mean()) <= COLOURED


def _tinted(view: View) -> Tensor:
    """(3, h, w) float, in {-1, 0, 1}; region 0 is the union, which has the first colour."""
    colours = torch.tensor(TINTS).float()
    table = colours[torch.tensor([0, *view.codes]) % len(TINTS)]
    field = table[torch.from_numpy(view.index.astype(np.int64))].permute(2, 0, 1)
    return field * torch.from_numpy(view.foreground)
