"""Every choice of a training run, in one object that also lands in the checkpoint."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from unseg.errors import UnsegError
from unseg.models.textures import are_periods
from unseg.noise import Budget

PromptType = Literal["box", "point", "mask", "none"]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the bilevel min-min training (paper, section 3 and appendix A).

    The defaults are the paper's; ``preset("cpu")`` changes what two cores cannot carry.

    Models
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

    Optimisation
        epochs: epochs in all. An epoch is ``epoch_steps`` steps.
        epoch_steps: steps an epoch; 0 is one pass over the corpus.
        drop_epoch: epoch from which the learning rates are divided by ten.
        batch_size: images a step and process.
        generator_lr, surrogate_lr: Adam's learning rates.
        surrogate_epochs: surrogate epochs at the start of each cycle.
        cycle_epochs: length of the cycle; the remaining epochs train the generator.
        seed: of everything.

    Noise
        epsilon, epsilon_background: training budget in 8-bit steps. The paper trains at 1 and
            deploys at 8 ("epsilon generalisation").
        label_modification: the generator's target is the all-ones mask, not the true one.

    Prompts
        generator_prompts: types from which a random non-empty subset is drawn.
        surrogate_prompts: types of which exactly one is drawn; ``none`` asks for the object
            without any hint, as a semantic victim is asked.
        points: clicks of a point prompt.
        perturb_boundary: fraction of the cells in a mask prompt's boundary zone that are flipped.

    Data
        validation_share: share of the files kept for validation.
        flip: probability of a horizontal flip.
        jitter_min, jitter_max: range of the large-scale jitter, relative to the surrogate input.
        jitter_after: augment the protected image (so that embeddings can be cached), not the
            generator's input as the paper does.
        robust: probability that a protected image passes one degradation (JPEG, blur, resize,
            grey, colour) on its way to the surrogate; 0 is the paper.

    Loss
        loss_points: points sampled an image; 0 uses every cell.
        oversample, importance: PointRend's oversampling and share of uncertain points.
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

    epochs: int = 27
    epoch_steps: int = 0
    drop_epoch: int = 20
    batch_size: int = 32
    generator_lr: float = 1e-4
    surrogate_lr: float = 1e-4
    surrogate_epochs: int = 1
    cycle_epochs: int = 4
    seed: int = 42

    epsilon: float = 1.0
    epsilon_background: float = 0.25
    label_modification: bool = True

    generator_prompts: tuple[PromptType, ...] = ("box", "point", "mask")
    surrogate_prompts: tuple[PromptType, ...] = ("box", "point", "mask")
    points: int = 10
    perturb_boundary: float = 0.5

    validation_share: float = 0.05
    flip: float = 0.5
    jitter_min: float = 0.1
    jitter_max: float = 2.0
    jitter_after: bool = False
    robust: float = 0.0

    loss_points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75

    def __post_init__(self) -> None:
        if self.generator_size % 64 or self.generator_size <= 0:
            raise UnsegError(f"generator_size is {self.generator_size}: use a multiple of 64")
        if self.generator_init not in ("sam", "random"):
            raise UnsegError(f"generator_init is {self.generator_init}: use sam or random")
        if not 0 < self.surrogate_epochs < self.cycle_epochs:
            raise UnsegError(
                f"surrogate_epochs is {self.surrogate_epochs} of cycle_epochs "
                f"{self.cycle_epochs}: both phases need at least one epoch of a cycle"
            )
        if self.local_norm % 4:
            raise UnsegError(f"local_norm is {self.local_norm}: use 0 or a multiple of 4")
        if len(self.textures) not in (0, 1, 2, 4, 8) or not are_periods(self.textures):
            raise UnsegError(
                f"textures is {','.join(f'{p:g}' for p in self.textures)}: give 1, 2, 4 or 8 "
                "periods of at least 2 cells"
            )
        if not are_periods(self.codebook):
            raise UnsegError(
                f"codebook is {','.join(f'{p:g}' for p in self.codebook)}: give periods of at "
                "least 2 cells"
            )
        if not self.generator_prompts or set(self.generator_prompts) - {"box", "point", "mask"}:
            raise UnsegError("generator_prompts needs one or more of box, point, mask")
        if not self.surrogate_prompts or set(self.surrogate_prompts) - set(get_args(PromptType)):
            raise UnsegError("surrogate_prompts needs one or more of box, point, mask, none")
        for name in ("batch_size", "points", "epochs", "head_width"):
            if getattr(self, name) < 1:
                raise UnsegError(f"{name} is {getattr(self, name)}: use 1 or more")
        for name in ("generator_lr", "surrogate_lr", "logit_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise UnsegError(f"{name} is {getattr(self, name)}: use a number above 0")
        for name in ("flip", "robust", "perturb_boundary", "importance"):
            if not 0 <= getattr(self, name) <= 1:
                raise UnsegError(f"{name} is {getattr(self, name)}: use a share, 0 to 1")
        if self.seed < 0:
            raise UnsegError(f"seed is {self.seed}: use 0 or more")
        try:
            self.budget  # noqa: B018
        except ValueError as error:
            raise UnsegError(f"epsilon or epsilon_background: {error}") from error
        if not 0 < self.jitter_min <= self.jitter_max:
            raise UnsegError(f"jitter range {self.jitter_min}..{self.jitter_max} is empty")
        if not 0 < self.validation_share < 1:
            raise UnsegError(f"validation_share is {self.validation_share}: use 0 < share < 1")

    @property
    def budget(self) -> Budget:
        """The training budget."""
        return Budget(self.epsilon, self.epsilon_background)

    def trains_surrogate(self, epoch: int) -> bool:
        """Whether an epoch (0-based) belongs to the surrogate (ref: ``epoch % 4 == 0``)."""
        return epoch % self.cycle_epochs < self.surrogate_epochs

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON and checkpoint metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Rebuild from :meth:`as_dict`; unknown names are an error, missing ones the default."""
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise UnsegError(
                f"training settings have no {', '.join(sorted(unknown))}; "
                f"known: {', '.join(sorted(known))}"
            )
        arguments: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**arguments)


REFERENCE = TrainConfig()

CPU = replace(
    REFERENCE,
    base="mobile_sam",
    generator_size=512,
    mask_feature=True,
    # A victim that reads a photograph at 160 pixels sees the shortest as ten pixels. At half of
    # these periods fine-tuned victims hardly notice the noise (docs/experiments.md).
    textures=(8.0, 10.0, 12.0, 14.0),
    codebook=(5.0, 9.5),
    logit_scale=3.0,
    head_width=32,
    surrogate="small",
    surrogate_size=192,
    epochs=30,
    epoch_steps=20,
    drop_epoch=25,
    batch_size=8,
    generator_lr=5e-4,
    surrogate_lr=3e-3,
    cycle_epochs=2,
    epsilon=8.0,
    # No noise outside: what carries none is what a whole clean image looks like.
    epsilon_background=0.0,
    label_modification=False,
    generator_prompts=("mask",),
    surrogate_prompts=("none", "none", "none", "box", "point", "mask"),
    jitter_min=0.7,
    jitter_max=1.8,
    jitter_after=True,
    robust=0.5,
    loss_points=2304,
)

PRESETS: dict[str, TrainConfig] = {"reference": REFERENCE, "cpu": CPU}


def preset(name: str) -> TrainConfig:
    """A named configuration.

    Raises:
        UnsegError: for an unknown name.
    """
    if name not in PRESETS:
        raise UnsegError(f"no preset named {name}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
