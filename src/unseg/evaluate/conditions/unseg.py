"""Noise of a trained generator: what this package makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from unseg.datasets.samples import VOID, Sample, to_tensor
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.problem import Problem
from unseg.evaluate.results import content_key
from unseg.masks.labels import (
    LabelMap,
    LabelRules,
    Regions,
    Target,
    find_regions,
    foreground_labels,
)
from unseg.models.generator import NoiseGenerator
from unseg.models.weights.io import module_sha256
from unseg.noise import Budget
from unseg.protect.apply import View, noise_fields
from unseg.protect.silence import Embedder, cells_of, choose_silent, spread
from unseg.protect.sources import NoiseSource
from unseg.protect.visibility import DEFAULT, Visibility

BACKGROUND = "background"
"""Name of the first class where it is what no object covers."""


def fingerprint(source: NoiseSource) -> str:
    """Hex sha256 over the names, types and bytes of a module's weights.

    A generator without noise outside its prompts has its settings, such as the periods of its
    textures, hashed with them; older ones keep the keys that their results have.

    Raises:
        UnsegError: when the source is no ``torch.nn.Module``.
    """
    if not isinstance(source, nn.Module):
        raise UnsegError(
            f"{type(source).__name__} has no weights to identify it by: pass identity= to name it"
        )
    found = module_sha256(source)
    if isinstance(source, NoiseGenerator) and not source.config.background:
        found = content_key({"weights": found, **source.settings()})
    return found


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
        budget: the bound, in 8-bit steps.
    """

    name = "unseg"
    summary = "noise of the trained generator (--target union, class or instance)"
    seeded = False
    costly = True
    omitted: ClassVar[dict[str, Any]] = {"target": "union", "visibility": "strong", "silent": None}

    def __init__(
        self,
        source: NoiseSource,
        *,
        identity: str | None = None,
        target: Target = "union",
        visibility: Visibility = DEFAULT,
        silent: Literal["auto", "first"] = "auto",
        budget: Budget = Budget(),
    ) -> None:
        super().__init__(budget=budget)
        self._source = source
        self.generator_id = identity or fingerprint(source)
        self.target: Target = target
        self.visibility: Visibility = visibility
        self.silent: Literal["auto", "first"] | None = silent if target == "class" else None
        self._rules = LabelRules(target="class", background=None)

    @property
    def label(self) -> str:
        words = [self.name]
        words += [self.target] if self.target != "union" else []
        words += [self.visibility] if self.visibility != DEFAULT else []
        return "-".join(words)

    def prepare(self, samples: Sequence[Sample], problem: Problem, seed: int) -> None:
        # As --background: a class of that name is what lies outside, elsewhere every label is one.
        background = 0 if problem.classes[0] == BACKGROUND else None
        self._rules = replace(self._rules, background=background)
        if self.silent != "auto" or background == 0 or not isinstance(self._source, Embedder):
            return
        parts = [
            cells_of(
                self._source,
                to_tensor(one.image),
                foreground_labels(_label_map(one), self._rules),
            )
            for one in (samples[i] for i in spread(len(samples)))
            if one.labels is not None
        ]
        self._rules = replace(self._rules, silent=choose_silent(parts))

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        if not sample.mask.any():
            return torch.zeros_like(image)
        with torch.no_grad():
            regions = self._regions(sample)
            view = View(image, regions.foreground, regions.index, regions.codes)
            return noise_fields(self._source, [view], self.budget, self.visibility)[0].float().cpu()

    def _regions(self, sample: Sample) -> Regions:
        if self.target == "union":
            return Regions.union(sample.mask)
        if self.target == "instance":
            if sample.instances is None:
                raise UnsegError(f"{sample.name} has no instances: use --target union or class")
            values = np.where(sample.mask, sample.instances, 0)
            return find_regions(LabelMap(values, wide=True), LabelRules(target="instance"))
        if sample.labels is None:
            return Regions.union(sample.mask)  # one class is its union
        return find_regions(_label_map(sample), self._rules)


def _label_map(sample: Sample) -> LabelMap:
    """The classes inside the mask; all else is void."""
    assert sample.labels is not None
    return LabelMap(np.where(sample.mask, sample.labels, VOID))
