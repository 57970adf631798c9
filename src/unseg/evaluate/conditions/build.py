"""From a condition's name on the command line to the condition."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from unseg.errors import UnsegError
from unseg.evaluate.conditions import CONDITIONS
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.mixed import Mixed, Subset
from unseg.evaluate.conditions.partial import OneClass
from unseg.evaluate.conditions.proposed import Boxed, Proposed, Salient
from unseg.evaluate.conditions.unseg import Unseg, fingerprint
from unseg.evaluate.settings import build
from unseg.masks.sources import MaskSource
from unseg.masks.sources.proposed import ProposedMask
from unseg.masks.sources.salient import SalientMask
from unseg.masks.sources.whole import WholeImage
from unseg.models.salience import load_salience
from unseg.noise import Budget

if TYPE_CHECKING:
    from unseg.models.generator import NoiseGenerator

CLEAN_ONLY = "clean-only"

_GRAMMAR = re.compile(
    r"(?P<name>[\w-]+|[\w.]+:\w+)(\[(?P<klass>[^\]]+)\])?(@(?P<share>\d+(\.\d+)?)%?)?"
)


def check_condition(name: str) -> None:
    """Refuse what :func:`build_condition` cannot read; loads nothing.

    Raises:
        UnsegError: saying what there is.
    """
    _parsed(name)


def build_condition(name: str, *, budget: Budget, model: str = "default") -> Condition:
    """A condition by name.

    ``NAME`` is one in ``CONDITIONS``, or a user's own as ``module:Name``. ``NAME@80`` protects 80 %
    of the images and leaves the rest clean; ``clean-only@20`` is that rest alone. ``NAME[Car]``
    protects one class, by name or number, and ``NAME[Car]@80`` is both.

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
    base, klass, share = _parsed(name)
    if base == CLEAN_ONLY:
        assert share is not None
        return Subset(share)
    condition = _build(base, budget, model)
    if klass is not None:
        condition = OneClass(condition, klass)
    return condition if share is None else Mixed(condition, share)


def _parsed(text: str) -> tuple[str, str | None, float | None]:
    """Name, the class in brackets, and the share behind ``@``, 0..1."""
    found = _GRAMMAR.fullmatch(text)
    name = found["name"] if found else text
    if found is None or (name not in (*CONDITIONS, CLEAN_ONLY) and ":" not in name):
        raise UnsegError(
            f"{text} is not a condition: choose from {', '.join(CONDITIONS)}, also as NAME@80 (a "
            f"share in per cent) or NAME[CLASS] (one class); {CLEAN_ONLY}@20; or your own as "
            "module:Name"
        )
    klass, share = found["klass"], found["share"]
    if share is not None and float(share) > 100:
        raise UnsegError(f"{text}: expected a share of 0 to 100 per cent after @")
    if name == CLEAN_ONLY and (share is None or klass is not None):
        raise UnsegError(f"{text}: give the share that stays, such as {CLEAN_ONLY}@20")
    return name, klass, None if share is None else float(share) / 100


def _build(name: str, budget: Budget, model: str) -> Condition:
    factory = CONDITIONS.load(name)
    kind = factory if isinstance(factory, type) else object
    settings: dict[str, Any] = {"budget": budget}
    if issubclass(kind, Unseg | Proposed):
        generator, identity = shared_generator(model)
        settings |= {"source": generator, "identity": identity}
    if issubclass(kind, Proposed):
        settings = {"condition": Unseg(**settings)}
        if issubclass(kind, Boxed):
            settings["base"] = generator.base
        else:
            settings["sources"] = _sources(model, issubclass(kind, Salient))
    return build(CONDITIONS, name, **settings)


@lru_cache(maxsize=1)
def shared_generator(model: str) -> tuple[NoiseGenerator, str]:
    """A generator and its fingerprint, loaded once for all that ask for it in turn."""
    from unseg.models.registry import load_generator

    generator = load_generator(model)
    return generator, fingerprint(generator)


@lru_cache(maxsize=2)
def _sources(model: str, salient: bool) -> tuple[MaskSource, ...]:
    """What finds the foreground without an owner's masks, in the order in which it is asked."""
    base = shared_generator(model)[0].base
    proposed: tuple[MaskSource, ...] = (ProposedMask(base), WholeImage())
    return (SalientMask(base, load_salience()), *proposed) if salient else proposed
