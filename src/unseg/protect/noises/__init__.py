"""Noise sources: what is added to an image. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from unseg.models.loaded import Models
from unseg.protect.noises.base import NoiseSource
from unseg.registry import Registry

NOISES: Registry[NoiseSource] = Registry(
    "noise source",
    NoiseSource,
    {
        "grey": "unseg.protect.noises.grey:GreyNoise",
        "tint": "unseg.protect.noises.tint:Tint",
        "generator": "unseg.protect.noises.generator:GeneratorNoise",
    },
)
"""Every source by its name, open to users as ``module:Name``."""

DEFAULT_NOISES = ("grey", "generator")
"""What makes the noise, the first that suits an image; no image gets colours it did not have."""

TINTED_NOISES = ("tint", "generator")
"""With a colour for images that have none, which protects microscopy and X-rays best."""


def load_noises(names: Iterable[str], models: Models) -> list[NoiseSource]:
    """The sources of these names, in their order.

    Raises:
        UnsegError: when a name is unknown.
    """
    return [NOISES.load(name).load(models) for name in names]


__all__ = ["DEFAULT_NOISES", "NOISES", "TINTED_NOISES", "NoiseSource", "load_noises"]
