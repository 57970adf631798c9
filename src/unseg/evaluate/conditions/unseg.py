"""Noise of a trained generator: what this package makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition, photo_of_sample
from unseg.evaluate.problem import BACKGROUND, Problem
from unseg.evaluate.results import content_key
from unseg.images.photo import Photo
from unseg.images.reader import rgb_of
from unseg.masks.find import find_regions
from unseg.masks.labels import LabelMap
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources.given import GivenMask
from unseg.models.generator import NoiseGenerator
from unseg.models.weights.io import halved, module_sha256, state_sha256
from unseg.noise import Budget
from unseg.protect.core import protect_photo
from unseg.protect.noises import DEFAULT_NOISES, NOISES, TINTED_NOISES
from unseg.protect.noises.generator import NoiseModel
from unseg.protect.silence import Embedder, cells_of_photo, choose_silent, spread
from unseg.protect.visibility import DEFAULT, Visibility


def fingerprint(source: NoiseModel) -> str:
    """Hex sha256 over what a generator learned, its frozen base and its settings.

    The base counts as it is in half precision, the form that ships: noise made with the base in
    full precision differs from that by a step in one pixel of ten thousand.

    Args:
        source: a generator, or another module, of which all weights count.

    Raises:
        UnsegError: when the source is no ``torch.nn.Module``.
    """
    if not isinstance(source, nn.Module):
        raise UnsegError(
            f"{type(source).__name__} has no weights to identify it by: pass identity= to name it"
        )
    if not isinstance(source, NoiseGenerator):
        return content_key({"weights": module_sha256(source)})
    learned = {k: v for k, v in source.state_dict().items() if not k.startswith("base.")}
    return content_key(
        {
            "learned": state_sha256(learned),
            "base": state_sha256(halved(source.base.state_dict())),
            **source.settings(),
        }
    )


class Unseg(Condition):
    """Noise of a generator, composed from mask prompts as ``unseg protect --target`` does.

    Training images without foreground stay as they are: there is nothing in them to hide.

    Args:
        source: the generator.
        identity: what tells this generator from others in the result's key; by default the
            checksum of its weights.
        target: one prompt for the union of the foreground, or one per class or instance.
        visibility: as ``unseg protect --visibility``.
        silent: with one prompt a class, ``auto`` chooses the classes that carry no noise from the
            training set, ``first`` gives every class a texture of its own and none to class 0.
        noises: what makes the noise, the first that suits an image, as ``Settings.noises``: the
            default is what ``unseg protect`` does, :data:`TINTED_NOISES` is ``--tint``.
        budget: the bound, in 8-bit steps.
    """

    name = "unseg"
    # 2: the judge of the visibility search, and waves at the image's own resolution.
    revision = 2
    summary = "noise of the trained generator (--target union, class or instance)"
    seeded = False
    costly = True

    def __init__(
        self,
        source: NoiseModel,
        *,
        identity: str | None = None,
        target: Target = "union",
        visibility: Visibility = DEFAULT,
        silent: Literal["auto", "first"] = "auto",
        noises: Sequence[str] = DEFAULT_NOISES,
        budget: Budget = Budget(),
    ) -> None:
        super().__init__(budget=budget)
        self._source = source
        self.generator_id = identity or fingerprint(source)
        self.noises = list(noises)
        self._noises = [NOISES.load(name).of(source) for name in noises]
        self.target: Target = target
        self.visibility: Visibility = visibility
        self.silent: Literal["auto", "first"] | None = silent if target == "class" else None
        self._rules = LabelRules(target="class", background=None)

    @property
    def label(self) -> str:
        words = [self.name]
        words += [self.target] if self.target != "union" else []
        words += [self.visibility] if self.visibility != DEFAULT else []
        words += ["tint"] if tuple(self.noises) == TINTED_NOISES else []
        return "-".join(words)

    def prepare(self, samples: Sequence[Sample], problem: Problem, seed: int) -> None:
        # As --background: a class of that name is what lies outside, elsewhere every label is one.
        background = 0 if problem.classes[0] == BACKGROUND else None
        self._rules = replace(self._rules, background=background)
        if self.silent != "auto" or background == 0 or not isinstance(self._source, Embedder):
            return
        chosen = [samples[i] for i in spread(len(samples))]
        parts = [
            cells_of_photo(self._source, photo_of_sample(one), _label_map(one), self._rules)
            for one in chosen
            if one.labels is not None
        ]
        self._rules = replace(self._rules, silent=choose_silent(parts))

    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        return rgb_of(self.protected(sample))

    def protected(self, sample: Sample) -> Photo:
        """The photograph as ``unseg protect`` publishes it, of the file's own kind."""
        photo = photo_of_sample(sample)
        labels, rules = self._mask(sample)
        found = find_regions(photo, [GivenMask(labels)], rules, sample.name)
        made = protect_photo(photo, found.regions, self._noises, self.budget, self.visibility)
        return replace(photo, pixels=made.pixels)

    def _mask(self, sample: Sample) -> tuple[LabelMap, LabelRules]:
        """What an owner would give, and what its labels mean."""
        if self.target == "instance":
            if sample.instances is None:
                raise UnsegError(f"{sample.name} has no instances: use --target union or class")
            values = np.where(sample.mask, sample.instances, 0)
            return LabelMap(values, wide=True), LabelRules(target="instance")
        if self.target == "class" and sample.labels is not None:
            return _label_map(sample), self._rules
        return LabelMap(sample.mask.astype(np.uint8)), LabelRules()  # one class is its union


def _label_map(sample: Sample) -> LabelMap:
    """The classes inside the mask; all else is void."""
    assert sample.labels is not None
    return LabelMap(np.where(sample.mask, sample.labels, VOID))
