"""From a condition's name on the command line to the condition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from unseg.errors import UnsegError
from unseg.evaluate.conditions import CONDITIONS
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.mixed import Mixed, Subset
from unseg.evaluate.conditions.partial import OneClass
from unseg.evaluate.conditions.proposed import PEOPLE_FIRST, Boxed, FoundMasks, Proposed, Salient
from unseg.evaluate.conditions.unseg import Unseg, fingerprint
from unseg.evaluate.settings import build
from unseg.masks.sources import MaskSource, load_sources
from unseg.masks.sources.proposed import ProposedMask
from unseg.masks.sources.salient import SalientMask
from unseg.masks.sources.whole import WholeImage
from unseg.models.loaded import Models
from unseg.models.salience import load_salience
from unseg.noise import Budget

if TYPE_CHECKING:
    from unseg.models.generator import NoiseGenerator

CLEAN_ONLY = "clean-only"

_GRAMMAR = re.compile(
    r"(?P<name>[\w-]+|[\w.]+:\w+)(\((?P<settings>[^()]*)\))?"
    r"(\[(?P<klass>[^\]]+)\])?(@(?P<share>\d+(\.\d+)?)%?)?"
)


@dataclass(frozen=True)
class Parsed:
    """A condition's name taken apart.

    Args:
        name: in ``CONDITIONS``, ``clean-only``, or ``module:Name``.
        settings: constructor arguments in the parentheses.
        klass: in the brackets.
        share: behind ``@``, 0..1.
    """

    name: str
    settings: Mapping[str, Any]
    klass: str | None
    share: float | None


def build_condition(name: str, *, budget: Budget, model: str = "default") -> Condition:
    """A condition by name.

    ``NAME`` is one in ``CONDITIONS``, or a user's own as ``module:Name``. ``NAME@80`` protects 80 %
    of the images and leaves the rest clean; ``clean-only@20`` is that rest alone. ``NAME[Car]``
    protects one class, by name or number. ``NAME(period=10,hue=0/0/1)`` changes settings.
    ``NAME(period=10)[Car]@80`` is all of that.

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
    parsed = _parsed(name)
    if parsed.name == CLEAN_ONLY:
        assert parsed.share is not None
        return Subset(parsed.share)
    condition = _build(parsed, budget, model)
    if parsed.klass is not None:
        condition = OneClass(condition, parsed.klass)
    return condition if parsed.share is None else Mixed(condition, parsed.share)


def _parsed(text: str) -> Parsed:
    found = _GRAMMAR.fullmatch(text)
    name = found["name"] if found else text
    if found is None or (name not in (*CONDITIONS, CLEAN_ONLY) and ":" not in name):
        raise UnsegError(
            f"{text} is not a condition: choose from {', '.join(CONDITIONS)}, also as NAME@80 (a "
            "share in per cent), NAME[CLASS] (one class) or NAME(SETTING=VALUE,...); "
            f"{CLEAN_ONLY}@20; or your own as module:Name"
        )
    klass, share = found["klass"], found["share"]
    if share is not None and float(share) > 100:
        raise UnsegError(f"{text}: expected a share of 0 to 100 per cent after @")
    if name == CLEAN_ONLY and (share is None or klass is not None or found["settings"]):
        raise UnsegError(f"{text}: give the share that stays, such as {CLEAN_ONLY}@20")
    settings = dict(_setting(text, pair) for pair in (found["settings"] or "").split(",") if pair)
    return Parsed(name, settings, klass, None if share is None else float(share) / 100)


def _setting(text: str, pair: str) -> tuple[str, Any]:
    """``name=value``: a number, several with slashes between them, or a word."""
    name, sign, value = (part.strip() for part in pair.partition("="))
    if not (sign and value and name.isidentifier()) or name == "budget":
        raise UnsegError(f"{text}: expected settings such as (period=10,hue=0/0/1), not {pair}")
    try:
        numbers = [float(part) for part in value.split("/")]
    except ValueError:
        return name, value
    return name, numbers if len(numbers) > 1 else _whole(numbers[0])


def _whole(number: float) -> float | int:
    """A number, as an ``int`` where it is a whole one."""
    return int(number) if number.is_integer() else number


def _build(parsed: Parsed, budget: Budget, model: str) -> Condition:
    factory = CONDITIONS.load(parsed.name)
    kind = factory if isinstance(factory, type) else object
    settings: dict[str, Any] = {"budget": budget}
    if issubclass(kind, Unseg | Proposed):
        generator, identity = shared_generator(model)
        settings |= {"source": generator, "identity": identity}
    if issubclass(kind, Proposed):
        settings = {"condition": Unseg(**settings)}
        if issubclass(kind, Boxed):
            settings["base"] = generator.base
        elif issubclass(kind, FoundMasks):
            names = str(parsed.settings.get("find", PEOPLE_FIRST)).split("/")
            settings["sources"] = load_sources(names, _models(model))
        else:
            settings["sources"] = _sources(model, issubclass(kind, Salient))
    return build(CONDITIONS, parsed.name, **{**parsed.settings, **settings})


@lru_cache(maxsize=1)
def shared_generator(model: str) -> tuple[NoiseGenerator, str]:
    """A generator and its fingerprint, loaded once for all that ask for it in turn."""
    from unseg.models.registry import load_generator

    generator = load_generator(model)
    return generator, fingerprint(generator)


@lru_cache(maxsize=1)
def _models(model: str) -> Models:
    """What mask sources are loaded with: the generator that is shared, and the shipped head."""
    models = Models(model, device="cpu")
    models.generator = shared_generator(model)[0]
    return models


@lru_cache(maxsize=2)
def _sources(model: str, salient: bool) -> tuple[MaskSource, ...]:
    """What finds the foreground without an owner's masks, in the order in which it is asked."""
    base = shared_generator(model)[0].base
    proposed: tuple[MaskSource, ...] = (ProposedMask(base), WholeImage())
    return (SalientMask(base, load_salience()), *proposed) if salient else proposed
