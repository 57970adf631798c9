"""Things that print and hash their own settings: tasks, victims, conditions and defences."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from unseg.errors import UnsegError
from unseg.registry import Registry


class Configured(ABC):
    """A named object whose behaviour follows from its class, its revision and its settings.

    :meth:`identity` goes into the key of every result, so two objects with equal identities must
    behave alike. A subclass that lacks an abstract method cannot be made.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    revision: ClassVar[int] = 1
    """Raise it by one when the class behaves differently with the same settings: results of the
    earlier behaviour are then not taken for the new one's. A subclass has its base's, so a change
    in a shared base raises the base's and that of each subclass with a number of its own; a change
    of the protocol (:mod:`unseg.evaluate.protocol`) raises that of
    :class:`~unseg.evaluate.tasks.Task`."""

    _origin: Mapping[str, str] = MappingProxyType({})

    @property
    def origin(self) -> Mapping[str, str]:
        """Where a user's own class comes from (``module:Name`` and its file's sha256); else empty.

        It is part of the identity: another file of the same name is another thing.
        """
        return self._origin

    def settings(self) -> dict[str, Any]:
        """JSON-ready settings: by default every public attribute set in the constructor."""
        return {k: v for k, v in sorted(vars(self).items()) if not k.startswith("_")}

    def identity(self) -> dict[str, Any]:
        """Name, revision, settings and, of a user's own class, its origin."""
        return {"name": self.name, "revision": self.revision, **self.settings(), **self.origin}

    def __repr__(self) -> str:
        listed = ", ".join(f"{k}={v!r}" for k, v in self.settings().items())
        return f"{type(self).__name__}({listed})"


T = TypeVar("T", bound=Configured)


def build(registry: Registry[T], name: str, **settings: Any) -> T:
    """A thing by name, or one of the user's own as ``module:Name``.

    Raises:
        UnsegError: when there is no such thing, it does not take the settings, or a user's own has
            no name of its own.
    """
    made = registry.build(name, **settings)
    if origin := registry.origin(name):
        if getattr(made, "name", "") in ("", *registry):
            raise UnsegError(
                f"{registry.kind} {name}: give {type(made).__name__} its own `name`, which "
                "identifies its results"
            )
        made._origin = origin
    return made
