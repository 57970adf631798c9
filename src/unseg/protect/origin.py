"""How a protector travels to another process: what its models are loaded from, not the models.

Loaders of data pickle what they call: a torch ``DataLoader`` that starts processes anew, and
``datasets.map``, which moreover tells from the pickle's bytes whether a result in its cache is of
the same function. The models are 44 MB whose bytes differ from load to load; what they are loaded
from is a few hundred bytes that do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from unseg.errors import UnsegError
from unseg.key import Key
from unseg.models.loaded import Models
from unseg.provenance import sha256_file


@dataclass(frozen=True)
class Origin:
    """What the models of a protector are loaded from.

    Args:
        model: generator: ``default``, a shipped name or an absolute path.
        salience: ``default``, ``none`` or an absolute path.
        device: as it was asked for, such as ``auto``: another process chooses anew.
        find: names of mask sources, in order.
        noises: names of noise sources, in order.
        key: what the noise follows from. It travels along, so a pickle is as secret as the key.
        sha256: checksums of the weights that were loaded, and the version of unseg.
    """

    model: str
    salience: str
    device: str
    find: tuple[str, ...]
    noises: tuple[str, ...]
    key: Key = field(repr=False)
    sha256: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        models: Models,
        device: str,
        find: tuple[str, ...],
        noises: tuple[str, ...],
        key: Key,
    ) -> Origin:
        """The origin of models that are loaded already.

        Args:
            models: of the protector.
            device: as it was asked for.
            find: names of its mask sources.
            noises: names of its noise sources.
            key: its key.
        """
        model, salience = _absolute(models.model), _absolute(models.salience)
        return cls(model, salience, device, find, noises, key, _checksums(models))

    def load(self) -> Models:
        """The models, loaded once in a process for however many protectors are unpickled there.

        Raises:
            UnsegError: when a file is missing, or is no longer the one that was loaded first.
        """
        return _loaded(self)


@lru_cache(maxsize=1)
def _loaded(origin: Origin) -> Models:
    models = Models(origin.model, origin.salience, origin.device, origin.key)
    if _checksums(models) != origin.sha256:
        raise UnsegError(
            f"the protector that arrived here was made with other weights than those of "
            f"{origin.model} in unseg {version('unseg')}: make it anew with "
            "Protector.from_pretrained"
        )
    return models


def _checksums(models: Models) -> tuple[str, ...]:
    head = Path(models.salience)
    return (
        f"unseg {version('unseg')}",
        models.generator.sha256,
        sha256_file(head) if head.is_file() else models.salience,
    )


def _absolute(name: str) -> str:
    """A name as it is, a file by its absolute path: another process may stand elsewhere."""
    return str(Path(name).resolve()) if Path(name).is_file() else name
