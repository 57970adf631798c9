"""Random crops, flips and colours, stronger than a victim's own loader's."""

from __future__ import annotations

from typing import Any

from unseg.evaluate.defences.augmented import Augmented


class Crop(Augmented):
    """A random part of every crop, enlarged, and mirrored half of the time.

    Args:
        smallest: least share of the area.
    """

    name = "crop"
    summary = "random resized crops and flips"

    def __init__(self, *, smallest: float = 0.3) -> None:
        self.smallest = smallest

    def chain(self, side: int) -> list[Any]:
        import kornia.augmentation as K

        return [
            K.RandomResizedCrop((side, side), scale=(self.smallest, 1.0)),
            K.RandomHorizontalFlip(p=0.5),
        ]


class Augment(Crop):
    """:class:`Crop` and strong colour augmentation.

    Args:
        smallest: least share of the area.
        jitter: brightness, contrast and saturation change by a factor in 1 +- jitter.
        hue: largest change of hue, in turns.
        grey: probability of a grey crop.
    """

    name = "augment"
    summary = "random resized crops, flips, strong colour jitter and grey"

    def __init__(
        self, *, smallest: float = 0.3, jitter: float = 0.4, hue: float = 0.1, grey: float = 0.2
    ) -> None:
        super().__init__(smallest=smallest)
        self.jitter, self.hue, self.grey = jitter, hue, grey

    def chain(self, side: int) -> list[Any]:
        import kornia.augmentation as K

        amount = self.jitter
        return [
            *super().chain(side),
            K.ColorJiggle(amount, amount, amount, self.hue, p=0.8),
            K.RandomGrayscale(p=self.grey),
        ]
