"""Settings of the salience head's training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from unseg.train.settings import require


@dataclass(frozen=True)
class HeadSettings:
    """The head.

    Args:
        width: channels of its hidden layers.
        image_size: side of the encoder's input, in pixels.
        threshold: a pixel is foreground where its probability is larger, in use. The default was
            chosen on Penn-Fudan's training images, where one half covers more of other things.
    """

    width: int = 48
    image_size: int = 512
    threshold: float = 0.7

    def __post_init__(self) -> None:
        require(self.width >= 1, "models.width", self.width, "1 or more")
        size = self.image_size
        require(size > 0 and size % 64 == 0, "models.image_size", size, "a multiple of 64")
        require(
            0 <= self.threshold < 1, "models.threshold", self.threshold, "a share, 0 to below 1"
        )


@dataclass(frozen=True)
class HeadOptimisation:
    """How long and how fast.

    Args:
        steps: optimiser steps.
        batch_size: scenes a step.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW.
        validate_every: steps between validations and checkpoints.
        seed: of everything.
    """

    steps: int = 300
    batch_size: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    validate_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("validate_every", 1), ("seed", 0)):
            value = getattr(self, name)
            require(value >= least, f"optimisation.{name}", value, f"{least} or more")
        rate, decay = self.learning_rate, self.weight_decay
        require(0 < rate < math.inf, "optimisation.learning_rate", rate, "a number above 0")
        require(0 <= decay < math.inf, "optimisation.weight_decay", decay, "0 or more")


@dataclass(frozen=True)
class SceneSettings:
    """Scenes and split.

    Args:
        scenes: scenes to learn from.
        validation_share: share of the cut-outs that only validate.
        validation_images: most pictures to validate on.
    """

    scenes: int = 1400
    validation_share: float = 0.05
    validation_images: int = 48

    def __post_init__(self) -> None:
        for name in ("scenes", "validation_images"):
            require(getattr(self, name) >= 1, f"data.{name}", getattr(self, name), "1 or more")
        share = self.validation_share
        require(0 < share < 1, "data.validation_share", share, "a share above 0 and below 1")


@dataclass(frozen=True)
class HeadLoss:
    """Cross entropy and soft dice.

    Args:
        dice_weight: weight of the soft dice loss beside cross entropy.
    """

    dice_weight: float = 0.5

    def __post_init__(self) -> None:
        weight = self.dice_weight
        require(0 <= weight < math.inf, "loss.dice_weight", weight, "0 or more")


@dataclass(frozen=True)
class SalienceSettings:
    """Settings of a run; the defaults made the head that ships.

    Args:
        models: the head.
        optimisation: how long and how fast.
        data: scenes and split.
        loss: cross entropy and soft dice.
    """

    models: HeadSettings = field(default_factory=HeadSettings)
    optimisation: HeadOptimisation = field(default_factory=HeadOptimisation)
    data: SceneSettings = field(default_factory=SceneSettings)
    loss: HeadLoss = field(default_factory=HeadLoss)
