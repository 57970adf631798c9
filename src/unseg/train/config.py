"""Every choice of a training run, in one object that also lands in the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from unseg.errors import UnsegError
from unseg.models.textures import are_periods
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
        local_norm: side, in noise-grid cells (a multiple of 4), of the window in which the noise
            has zero mean and unit contrast. 0 only takes the mean over the whole image out, which
            stops the collapse to a constant shift; a window also stops smooth colour clouds.
        textures: periods, in noise-grid cells, of a bank of textures from which the feature
            chooses one at every cell; 1, 2, 4 or 8 of them.
        codebook: periods, in noise-grid cells, of the textures that name classes, instances or,
            where a mask has no shape, what parts of an image look like
            (:class:`~unseg.models.textures.Codebook`). The textures are fixed; what they stand for
            is fitted to the corpus before the first step.
        logit_scale: factor on the noise logits before tanh at the start.
        head_width: channels of the hidden layers of the noise feature convolutions.
        surrogate: ``vit_b`` (SAM's own shape) or ``small`` (same parts, convolutional encoder).
        surrogate_size: side of the square surrogate input, pixels.
        surrogate_width: channels of the small surrogate's embedding.
    """

    base: str = "vit_b"
    generator_size: int = 1024
    generator_init: Literal["sam", "random"] = "sam"
    mask_feature: bool = False
    local_norm: int = 0
    textures: tuple[float, ...] = ()
    codebook: tuple[float, ...] = ()
    logit_scale: float = 0.5
    head_width: int = 64
    surrogate: Literal["vit_b", "small"] = "vit_b"
    surrogate_size: int = 512
    surrogate_width: int = 64

    def __post_init__(self) -> None:
        size = self.generator_size
        require(size > 0 and size % 64 == 0, "models.generator_size", size, "a multiple of 64")
        for name, known in (
            ("generator_init", ("sam", "random")),
            ("surrogate", ("vit_b", "small")),
        ):
            value = getattr(self, name)
            require(value in known, f"models.{name}", value, " or ".join(known))
        wanted = "0 or a multiple of 4"
        require(
            self.local_norm >= 0 and self.local_norm % 4 == 0, "models.local_norm",
            self.local_norm, wanted,
        )  # fmt: skip
        require(
            len(self.textures) in (0, 1, 2, 4, 8) and are_periods(self.textures),
            "models.textures", self.textures, "1, 2, 4 or 8 periods of at least 2 cells",
        )  # fmt: skip
        require(
            are_periods(self.codebook), "models.codebook", self.codebook,
            "periods of at least 2 cells",
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
    seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("epoch_steps", 0), ("seed", 0)):
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
    """

    epsilon: float = 1.0
    epsilon_background: float = 0.25
    label_modification: bool = True

    def __post_init__(self) -> None:
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
        robust: probability that a protected image passes one degradation (JPEG, blur, resize,
            grey, colour) on its way to the surrogate; 0 is the paper.
    """

    validation_share: float = 0.05
    flip: float = 0.5
    jitter_min: float = 0.1
    jitter_max: float = 2.0
    jitter_after: bool = False
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
class ExportSettings:
    """What distinguishes the generator that is used from the one that was trained.

    Applied to a copy whenever weights are written (:func:`unseg.train.export.export`), so that
    ``best.safetensors`` is ready for use. No gradient step sees any of it.

    Args:
        gain: factor on the noise logits. Training needs waves that are not saturated, or there is
            no gradient; noise in use may fill the whole bound.
        stretch: factor on the periods of the textures. A surrogate from scratch at a small input
            learns short waves best, which victims with pretrained backbones hardly read.
        codebook: periods of a new codebook, as many as were trained with; none keeps the trained
            one. Nothing in a codebook is learned but what its entries stand for, which is kept.
    """

    gain: float = 1.0
    stretch: float = 1.0
    codebook: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("gain", "stretch"):
            _positive(f"export.{name}", getattr(self, name))
        require(
            are_periods(self.codebook), "export.codebook", self.codebook,
            "periods of at least 2 cells",
        )  # fmt: skip


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the bilevel min-min training (paper, section 3 and appendix A).

    The defaults are the paper's; ``preset("cpu")`` changes what two cores cannot carry.

    Args:
        models: generator and surrogate.
        optimisation: how long and how fast.
        noise: the bound of the noise, and what the generator is asked for.
        prompts: what generator and surrogate are asked with.
        data: split and augmentation.
        loss: PointRend's sampling of the loss.
        export: what distinguishes the generator that is used from the one that was trained.
    """

    models: ModelSettings = field(default_factory=ModelSettings)
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    prompts: PromptSettings = field(default_factory=PromptSettings)
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    def __post_init__(self) -> None:
        new, trained = self.export.codebook, self.models.codebook
        require(
            not new or len(new) == len(trained), "export.codebook", new,
            f"as many periods as models.codebook has ({len(trained)}), or none",
        )  # fmt: skip
        require(
            are_periods(tuple(period * self.export.stretch for period in self.models.textures)),
            "export.stretch", self.export.stretch,
            "a factor that keeps the periods of models.textures at 2 cells or more",
        )  # fmt: skip

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

CPU = TrainConfig(
    models=replace(
        REFERENCE.models,
        base="mobile_sam",
        generator_size=512,
        mask_feature=True,
        # A victim that reads a photograph at 160 pixels sees the shortest as ten pixels. At half
        # of these periods fine-tuned victims hardly notice the noise (docs/experiments/waves.md).
        textures=(8.0, 10.0, 12.0, 14.0),
        codebook=(5.0, 9.5),
        logit_scale=3.0,
        head_width=32,
        surrogate="small",
        surrogate_size=192,
    ),
    optimisation=replace(
        REFERENCE.optimisation,
        epochs=30,
        epoch_steps=20,
        learning_rate_drop_epoch=25,
        batch_size=8,
        generator_learning_rate=5e-4,
        surrogate_learning_rate=3e-3,
        cycle_epochs=2,
    ),
    # No noise outside: what carries none is what a whole clean image looks like.
    noise=NoiseSettings(epsilon=8.0, epsilon_background=0.0, label_modification=False),
    prompts=replace(
        REFERENCE.prompts,
        generator_prompts=("mask",),
        surrogate_prompts=("none", "none", "none", "box", "point", "mask"),
    ),
    data=replace(
        REFERENCE.data, jitter_min=0.7, jitter_max=1.8, jitter_after=True, robust=0.5
    ),
    loss=replace(REFERENCE.loss, points_sampled=2304),
    # Chosen on validation parts (docs/experiments/waves.md).
    export=ExportSettings(gain=8.0, stretch=1.5, codebook=(8.0, 5.0)),
)  # fmt: skip

PRESETS: dict[str, TrainConfig] = {"reference": REFERENCE, "cpu": CPU}


def preset(name: str) -> TrainConfig:
    """A named configuration.

    Raises:
        UnsegError: for an unknown name.
    """
    if name not in PRESETS:
        raise UnsegError(f"no preset named {name}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
