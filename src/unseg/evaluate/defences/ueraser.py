"""UEraser: augmentations chosen to break unlearnable noise."""

from __future__ import annotations

from typing import Any

from unseg.evaluate.defences.augmented import Augmented


class UEraser(Augmented):
    """Strong augmentation against unlearnable noise, after Qin et al. (UEraser, arXiv 2303.15127).

    Fractal brightness and contrast clouds, shuffled channels, one of several photometric changes,
    and a mild affine one; as in their variant without a choice among repeated draws.

    Args:
        probability: of each of clouds and shuffled channels.
    """

    name = "ueraser"
    summary = "UEraser: fractal brightness and contrast, shuffled channels, photometric changes"

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = probability

    def chain(self, side: int) -> list[Any]:
        import kornia.augmentation as K
        from kornia.augmentation.container import ImageSequential

        p = self.probability
        return [
            K.RandomPlasmaBrightness(p=p),
            K.RandomPlasmaContrast(p=p),
            K.RandomChannelShuffle(p=p),
            ImageSequential(
                K.RandomPosterize((3, 6), p=1.0),
                K.RandomSolarize(0.1, 0.1, p=1.0),
                K.RandomEqualize(p=1.0),
                K.RandomSharpness(0.9, p=1.0),
                K.ColorJiggle(0.5, 0.5, 0.5, 0.1, p=1.0),
                random_apply=1,
            ),
            K.RandomAffine(15.0, scale=(0.8, 1.2), padding_mode="reflection", p=0.5),
        ]
