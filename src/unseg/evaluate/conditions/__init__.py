"""Conditions: what the training images become. A new one is one file and one line here.

``unseg`` is not in ``BASELINES`` because it needs a generator: :func:`build_condition` loads one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from unseg.errors import UnsegError
from unseg.evaluate.conditions.ar import Autoregressive
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.clean import Clean
from unseg.evaluate.conditions.constant import Constant
from unseg.evaluate.conditions.em import ErrorMinimising
from unseg.evaluate.conditions.gaussian import Gaussian
from unseg.evaluate.conditions.lsp import LinearlySeparable
from unseg.evaluate.conditions.mixed import Mixed, Subset
from unseg.evaluate.conditions.partial import OneClass
from unseg.evaluate.conditions.pattern import Pattern
from unseg.evaluate.conditions.proposed import Boxed, Proposed, Salient
from unseg.evaluate.conditions.texture import Texture
from unseg.evaluate.conditions.uniform import Uniform
from unseg.evaluate.conditions.unseg import Unseg
from unseg.masks.sources import MaskSource
from unseg.masks.sources.proposed import ProposedMask
from unseg.masks.sources.salient import SalientMask
from unseg.masks.sources.whole import WholeImage
from unseg.models.salience import load_salience
from unseg.noise import Budget

if TYPE_CHECKING:
    from unseg.models.generator import NoiseGenerator

BASELINES: dict[str, Callable[..., Condition]] = {
    Clean.name: Clean,
    Uniform.name: Uniform,
    Gaussian.name: Gaussian,
    Constant.name: Constant,
    Pattern.name: Pattern,
    LinearlySeparable.name: LinearlySeparable,
    Texture.name: Texture,
    ErrorMinimising.name: ErrorMinimising,
    Autoregressive.name: Autoregressive,
}

GENERATED: dict[str, dict[str, Any]] = {
    "unseg": {},
    "unseg-class": {"target": "class"},
    "unseg-instance": {"target": "instance"},
    "unseg-low": {"visibility": "low"},
    "unseg-strong": {"visibility": "strong"},
    "unseg-class-strong": {"target": "class", "visibility": "strong"},
}
"""Conditions that need a generator: what its mask prompts are, and how visible it may be."""

WITHOUT_MASKS: dict[str, type[Proposed]] = {
    "unseg-salient": Salient,
    "unseg-proposed": Proposed,
    "unseg-boxes": Boxed,
}
"""Ours where the owner gives no masks, or boxes; they need the generator's base as well."""

CLEAN_ONLY = "clean-only"

_GRAMMAR = re.compile(r"(?P<name>[\w-]+)(\[(?P<klass>[^\]]+)\])?(@(?P<share>\d+(\.\d+)?)%?)?")


def condition_names() -> list[str]:
    """Names that :func:`build_condition` knows; ``[CLASS]`` and ``@SHARE`` may follow each."""
    return [*BASELINES, *GENERATED, *WITHOUT_MASKS]


def build_condition(name: str, *, budget: Budget, model: str = "default") -> Condition:
    """A condition by name.

    ``NAME`` is one of :func:`condition_names`. ``NAME@80`` protects 80 % of the images and leaves
    the rest clean; ``clean-only@20`` is that rest alone. ``NAME[Car]`` protects one class, by name
    or number, and ``NAME[Car]@80`` is both.

    Args:
        name: see above.
        budget: the bound, in 8-bit steps.
        model: generator of the conditions that need one, a name or a .safetensors file; loaded
            here, the last one once for all.

    Raises:
        UnsegError: when the name is none of these.

    Example:
        >>> build_condition("random[Car]@80", budget=Budget(8, 2)).label
        'random[only Car]@80%'
    """
    found = _GRAMMAR.fullmatch(name)
    base = found["name"] if found else name
    if found is None or base not in (*condition_names(), CLEAN_ONLY):
        raise UnsegError(
            f"{name} is not a condition: choose from {', '.join(condition_names())}, each also as "
            f"NAME@80 (a share, per cent) or NAME[CLASS] (one class), or {CLEAN_ONLY}@20"
        )
    klass, share = found["klass"], found["share"]
    if share is not None and float(share) > 100:
        raise UnsegError(f"{name}: expected a share of 0 to 100 per cent after @")
    if base == CLEAN_ONLY:
        if share is None or klass is not None:
            raise UnsegError(f"{name}: give the share that stays, such as {CLEAN_ONLY}@20")
        return Subset(float(share) / 100)
    condition = _build(base, budget, model)
    if klass is not None:
        condition = OneClass(condition, klass)
    return condition if share is None else Mixed(condition, float(share) / 100)


def _build(name: str, budget: Budget, model: str) -> Condition:
    if name in BASELINES:
        return BASELINES[name](budget=budget)
    generator = _generator(model)
    if name in WITHOUT_MASKS:
        ours = Unseg(generator, budget=budget)
        if name == "unseg-boxes":
            return Boxed(ours, generator.base)
        sources: list[MaskSource] = [ProposedMask(generator.base), WholeImage()]
        if name == "unseg-salient":
            sources.insert(0, SalientMask(generator.base, load_salience()))
            return Salient(ours, sources)
        return Proposed(ours, sources)
    return Unseg(generator, budget=budget, **GENERATED[name])


@lru_cache(maxsize=1)
def _generator(model: str) -> NoiseGenerator:
    from unseg.models.registry import load_generator

    return load_generator(model)


__all__ = ["BASELINES", "Condition", "Unseg", "build_condition", "condition_names"]
