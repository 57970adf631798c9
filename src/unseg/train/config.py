"""Every choice of a training run, in one object that also lands in the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from unseg.errors import UnsegError
from unseg.models.surrogate import SURROGATES
from unseg.models.waves import are_periods
from unseg.noise import Budget
from unseg.train.settings import as_dict, from_dict, require

PromptType = Literal["box", "point", "mask", "none"]


@dataclass(frozen=True)
class ModelSettings:
    """Generator and surrogate.

    Args:
        base: frozen SAM the generator starts from, ``mobile_sam`` or ``vit_b``.
        generator_size: side of the square generator input, pixels, a multiple of 64.
        generator_init: ``random`` keeps the base's shape and replaces its weights by random ones,
            frozen, too (the paper's ablation of the start from SAM).
        mask_feature: feed the mask prompt at the noise grid's resolution into the noise feature.
        textures: periods, in 512ths of the long side, of a bank of textures from which the feature
            chooses one at every cell; 1, 2, 4 or 8 of them. None is the paper's own head.
        codebook: periods, in 512ths, of the textures that name classes, instances or, where a mask
            has no shape, what parts of an image look like
            (:class:`~unseg.models.textures.Codebook`). The textures are fixed; what they stand for
            is fitted to the corpus before the first step.
        logit_scale: factor on the noise logits before tanh at the start.
        head_width: channels of the hidden layers of the noise feature convolutions.
        surrogates: trained in turn, one a cycle: ``vit_b`` (SAM's own shape, from scratch),
            ``small`` (SAM's parts, convolutional encoder, from scratch), and what trainers
            fine-tune, under a feature pyramid: ``tinyvit``, ``efficientnet``, ``mobilenetv2``.
        surrogate_size: side of the square surrogate input, pixels.
        surrogate_width: channels of the small surrogate's embedding.
    """

    base: str = "vit_b"
    generator_size: int = 1024
    generator_init: Literal["sam", "random"] = "sam"
    mask_feature: bool = False
    textures: tuple[float, ...] = ()
    codebook: tuple[float, ...] = ()
    logit_scale: float = 0.5
    head_width: int = 64
    surrogates: tuple[str, ...] = ("vit_b",)
    surrogate_size: int = 512
    surrogate_width: int = 64

    def __post_init__(self) -> None:
        size = self.generator_size
        require(size > 0 and size % 64 == 0, "models.generator_size", size, "a multiple of 64")
        require(
            self.generator_init in ("sam", "random"), "models.generator_init",
            self.generator_init, "sam or random",
        )  # fmt: skip
        require(
            bool(self.surrogates) and not set(self.surrogates) - set(SURROGATES),
            "models.surrogates", self.surrogates, f"one or more of {', '.join(SURROGATES)}",
        )  # fmt: skip
        require(
            len(self.textures) in (0, 1, 2, 4, 8) and are_periods(self.textures),
            "models.textures", self.textures, "1, 2, 4 or 8 periods of at least 2 (512ths)",
        )  # fmt: skip
        require(
            are_periods(self.codebook), "models.codebook", self.codebook,
            "periods of at least 2 (512ths)",
        )  # fmt: skip
        for name in ("head_width", "surrogate_size", "surrogate_width"):
            require(getattr(self, name) >= 1, f"models.{name}", getattr(self, name), "1 or more")
        _positive("models.logit_scale", self.logit_scale)


@dataclass(frozen=True)
class OptimisationSettings:
    """How long and how fast.

    Args:
        epochs: epochs in all. An epoch is ``epoch_steps`` steps.
        epoch_steps: steps an epoch; 0 is one pass over the corpus.
        learning_rate_drop_epoch: epoch from which the learning rates are divided by ten.
        batch_size: images a step and process.
        generator_learning_rate, surrogate_learning_rate: Adam's.
        surrogate_epochs: surrogate epochs at the start of each cycle.
        cycle_epochs: length of the cycle; the remaining epochs train the generator.
        surrogate_turns: how many turns a surrogate has before it starts anew; 0 is all.
        seed: of everything.
    """

    epochs: int = 27
    epoch_steps: int = 0
    learning_rate_drop_epoch: int = 20
    batch_size: int = 32
    generator_learning_rate: float = 1e-4
    surrogate_learning_rate: float = 1e-4
    surrogate_epochs: int = 1
    cycle_epochs: int = 4
    surrogate_turns: int = 0
    seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("epoch_steps", 0),
            ("seed", 0),
            ("surrogate_turns", 0),
        ):
            value = getattr(self, name)
            require(value >= least, f"optimisation.{name}", value, f"{least} or more")
        for name in ("generator_learning_rate", "surrogate_learning_rate"):
            _positive(f"optimisation.{name}", getattr(self, name))
        require(
            0 < self.surrogate_epochs < self.cycle_epochs, "optimisation.surrogate_epochs",
            self.surrogate_epochs,
            f"1 or more, and less than optimisation.cycle_epochs ({self.cycle_epochs}): both "
            "models need an epoch of each cycle",
        )  # fmt: skip


@dataclass(frozen=True)
class NoiseSettings:
    """The bound of the noise, and what the generator is asked for.

    Args:
        epsilon, epsilon_background: training budget in 8-bit steps. The paper trains at 1 and
            deploys at 8 ("epsilon generalisation").
        label_modification: the generator's target is the all-ones mask, not the true one.
        visibility: SSIMULACRA2 score below which a view of the noise costs (0 is the paper: nothing
            does), so that the bound is used where it is not seen.
        visibility_weight: what ten points below it cost beside a loss of one.
    """

    epsilon: float = 1.0
    epsilon_background: float = 0.25
    label_modification: bool = True
    visibility: float = 0.0
    visibility_weight: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.visibility <= 100, "noise.visibility", self.visibility, "0 to 100")
        require(
            0 <= self.visibility_weight < math.inf, "noise.visibility_weight",
            self.visibility_weight, "0 or more",
        )  # fmt: skip
        try:
            self.budget  # noqa: B018
        except ValueError as error:
            raise UnsegError(f"noise.epsilon or noise.epsilon_background: {error}") from error

    @property
    def budget(self) -> Budget:
        """The training budget."""
        return Budget(self.epsilon, self.epsilon_background)


@dataclass(frozen=True)
class PromptSettings:
    """What generator and surrogate are asked with.

    Args:
        generator_prompts: types from which a random non-empty subset is drawn.
        surrogate_prompts: types of which exactly one is drawn; ``none`` asks for the object
            without any hint, as a semantic victim is asked.
        points: clicks of a point prompt.
        perturb_boundary: fraction of the cells in a mask prompt's boundary zone that are flipped.
    """

    generator_prompts: tuple[PromptType, ...] = ("box", "point", "mask")
    surrogate_prompts: tuple[PromptType, ...] = ("box", "point", "mask")
    points: int = 10
    perturb_boundary: float = 0.5

    def __post_init__(self) -> None:
        every = get_args(PromptType)
        for name, known in (("generator_prompts", every[:-1]), ("surrogate_prompts", every)):
            value = getattr(self, name)
            require(
                bool(value) and not set(value) - set(known), f"prompts.{name}", value,
                f"one or more of {', '.join(known)}",
            )  # fmt: skip
        require(self.points >= 1, "prompts.points", self.points, "1 or more")
        _share("prompts.perturb_boundary", self.perturb_boundary)


@dataclass(frozen=True)
class DataSettings:
    """Split and augmentation.

    Args:
        validation_share: share of the files kept for validation.
        flip: probability of a horizontal flip.
        jitter_min, jitter_max: range of the large-scale jitter, relative to the surrogate input.
        jitter_after: augment the protected image (so that embeddings can be cached), not the
            generator's input as the paper does.
        photometric: whether protected images pass PhotoMetricDistortion on their way to the
            surrogate, as most trainers' images do.
        robust: probability that they pass one degradation (grey, or JPEG, blur, resizing) as well;
            0 is the paper.
    """

    validation_share: float = 0.05
    flip: float = 0.5
    jitter_min: float = 0.1
    jitter_max: float = 2.0
    jitter_after: bool = False
    photometric: bool = False
    robust: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "robust"):
            _share(f"data.{name}", getattr(self, name))
        require(
            0 < self.validation_share < 1, "data.validation_share", self.validation_share,
            "a share above 0 and below 1",
        )  # fmt: skip
        require(
            0 < self.jitter_min <= self.jitter_max, "data.jitter_min", self.jitter_min,
            f"a number above 0 and not above data.jitter_max ({self.jitter_max:g})",
        )  # fmt: skip


@dataclass(frozen=True)
class LossSettings:
    """PointRend's sampling of the loss.

    Args:
        points_sampled: points sampled an image; 0 uses every cell.
        oversample_ratio: how many times as many are looked at.
        importance_sample_ratio: share of the points that are the most uncertain of these.
    """

    points_sampled: int = 12544
    oversample_ratio: float = 3.0
    importance_sample_ratio: float = 0.75

    def __post_init__(self) -> None:
        require(self.points_sampled >= 0, "loss.points_sampled", self.points_sampled, "0 or more")
        require(
            1 <= self.oversample_ratio < math.inf, "loss.oversample_ratio",
            self.oversample_ratio, "1 or more",
        )  # fmt: skip
        _share("loss.importance_sample_ratio", self.importance_sample_ratio)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the bilevel min-min training (paper, section 3 and appendix A).

    The defaults are the paper's; ``preset("shipped")`` makes the generator that ships.

    Args:
        models: generator and surrogate.
        optimisation: how long and how fast.
        noise: the bound of the noise, and what the generator is asked for.
        prompts: what generator and surrogate are asked with.
        data: split and augmentation.
        loss: PointRend's sampling of the loss.
    """

    models: ModelSettings = field(default_factory=ModelSettings)
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    prompts: PromptSettings = field(default_factory=PromptSettings)
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossSettings = field(default_factory=LossSettings)

    def trains_surrogate(self, epoch: int) -> bool:
        """Whether an epoch (0-based) belongs to the surrogate (ref: ``epoch % 4 == 0``)."""
        return epoch % self.optimisation.cycle_epochs < self.optimisation.surrogate_epochs

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """A dictionary of groups for JSON and checkpoint metadata."""
        return as_dict(self)

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> TrainConfig:
        """Rebuild from :meth:`as_dict`; unknown names are an error, missing ones the default."""
        return from_dict(cls, values)


def _positive(name: str, value: float) -> None:
    require(0 < value < math.inf, name, value, "a number above 0")


def _share(name: str, value: float) -> None:
    require(0 <= value <= 1, name, value, "a share, 0 to 1")


REFERENCE = TrainConfig()

SHIPPED = TrainConfig(
    models=replace(
        REFERENCE.models,
        base="mobile_sam",
        generator_size=512,
        mask_feature=True,
        textures=(8.0, 9.0, 10.0, 11.0, 12.0, 14.0, 16.0, 20.0),
        codebook=(12.0,),
        logit_scale=1.0,
        head_width=32,
        surrogates=("small", "mobilenetv2", "efficientnet", "tinyvit"),
        surrogate_size=256,
    ),
    optimisation=replace(
        REFERENCE.optimisation,
        epochs=16,
        epoch_steps=20,
        learning_rate_drop_epoch=14,
        batch_size=6,
        generator_learning_rate=2e-3,
        surrogate_learning_rate=1e-3,
        cycle_epochs=2,
    ),
    # No noise outside: what carries none is what a whole clean image looks like. The whole bound
    # may show more than what is published: each image has its noise scaled down.
    noise=NoiseSettings(
        epsilon=8.0, epsilon_background=0.0, label_modification=False, visibility=76.0
    ),
    prompts=replace(
        REFERENCE.prompts,
        generator_prompts=("mask",),
        surrogate_prompts=("none", "none", "none", "box", "point", "mask"),
    ),
    # The long side of a view is 307 to 1,024 pixels: trainers scale photographs of 512 by 0.5 to 2.
    data=replace(
        REFERENCE.data, jitter_min=1.2, jitter_max=4.0, jitter_after=True, photometric=True,
        robust=0.5,
    ),
    loss=replace(REFERENCE.loss, points_sampled=4096),
)  # fmt: skip

PRESETS: dict[str, TrainConfig] = {"reference": REFERENCE, "shipped": SHIPPED}


def preset(name: str) -> TrainConfig:
    """A named configuration.

    Raises:
        UnsegError: for an unknown name.
    """
    if name not in PRESETS:
        raise UnsegError(f"no preset named {name}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
