"""Black and white photographs stored in colour: the generator's textures, in grey.

Noise of several colours would tint a picture that has none. As in files of one channel, all three
channels get the sum of the generator's, so that the picture stays as grey as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from unseg.protect.noises.base import without_colour
from unseg.protect.noises.generator import GeneratorNoise
from unseg.protect.noises.tint import is_colourless
from unseg.protect.view import View


class GreyNoise(GeneratorNoise):
    """The generator's noise without colour, for files of three channels that have none.

    Args:
        model: makes noise from mask prompts.
    """

    name = "grey"
    summary = "the generator's textures in grey, for colour files of grey pixels"

    def suits(self, view: View) -> bool:
        return not view.grey and is_colourless(view.image)

    def fields(self, views: Sequence[View]) -> list[Tensor]:
        return [without_colour(field) for field in super().fields(views)]
