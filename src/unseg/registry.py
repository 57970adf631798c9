"""One registry for every kind of thing that can be named: victims, tasks, noises, mask sources.

An entry is ``module:Name``, imported when it is first asked for, so that listing names costs
nothing and an extra that is not installed is only missed by what needs it. Users open every
registry with a ``module:Name`` of their own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from unseg.errors import UnsegError
from unseg.provenance import sha256_file

T = TypeVar("T")


@dataclass(frozen=True)
class Spec:
    """Where a thing is defined, and the settings that its name stands for.

    Args:
        target: ``module:Name`` of a class, or of a function that returns an instance.
        settings: keyword arguments that the name implies, such as ``quality=75`` of ``jpeg75``.
    """

    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)


class Registry(Mapping[str, Spec], Generic[T]):
    """Names of one kind of thing, in the order in which they are listed.

    Args:
        kind: what the things are, for messages, such as ``victim``.
        base: the class that all of them are instances of.
        entries: ``module:Name``, or a :class:`Spec` where the name implies settings.

    Example:
        >>> known = Registry("mapping", dict, {"ordered": "collections:OrderedDict"})
        >>> dict(known.build("ordered", a=1))
        {'a': 1}
        >>> list(known), "counter" in known
        (['ordered'], False)
        >>> known.build("collections:Counter", a=2)
        Counter({'a': 2})
    """

    def __init__(self, kind: str, base: type, entries: Mapping[str, str | Spec]) -> None:
        self.kind, self.base = kind, base
        self._entries = {
            name: Spec(entry) if isinstance(entry, str) else entry
            for name, entry in entries.items()
        }

    def __getitem__(self, name: str) -> Spec:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def check(self, name: str) -> None:
        """Refuse a name that is neither known nor ``module:Name``.

        Raises:
            UnsegError: naming what there is.
        """
        if name not in self and ":" not in name:
            raise UnsegError(
                f"{name or 'nothing'} is not a {self.kind}: choose from {', '.join(self)}, or "
                "give one of your own as module:Name"
            )

    def load(self, name: str) -> Any:
        """The class or function behind a name; nothing is called.

        Raises:
            UnsegError: when there is no such thing, or it cannot be imported.
        """
        self.check(name)
        own = name not in self
        module, _, attribute = (name if own else self[name].target).partition(":")
        if own and not (module and attribute):
            raise UnsegError(f"{self.kind} {name}: expected module:Name, such as my_module:Mine")
        # An installed command does not look in the current folder by itself, unlike ``python -m``.
        here = str(Path.cwd())
        if own and here not in sys.path:
            sys.path.insert(0, here)
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            if not own:
                raise
            # Whatever the user's file does while it is read.
            reason = f"{type(error).__name__}: {error}"
            raise UnsegError(
                f"{self.kind} {name} cannot be imported ({reason}): {module} must be installed or "
                f"be in the current folder, and define {attribute}"
            ) from error

    def build(self, name: str, **settings: Any) -> T:
        """An instance of what a name stands for.

        Args:
            name: a known name, or ``module:Name``.
            settings: keyword arguments beside those that the name implies.

        Raises:
            UnsegError: when there is no such thing, it does not take the settings, or it is not
                of this registry's kind.
        """
        factory = self.load(name)
        implied = self[name].settings if name in self else {}
        own = name not in self
        try:
            made: Any = factory(**{**implied, **settings})
        except UnsegError:
            raise
        except Exception as error:  # of a user's own thing it may be any
            if not own and not isinstance(error, TypeError):
                raise
            given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
            raise UnsegError(
                f"{self.kind} {name} cannot be made with {given or 'no settings'} ({error})"
            ) from error
        if not isinstance(made, self.base):
            raise UnsegError(
                f"{self.kind} {name} gave a {type(made).__name__}: expected a class derived from "
                f"{self.base.__module__}.{self.base.__qualname__}, or a function that returns one"
            )
        return cast("T", made)

    def origin(self, name: str) -> dict[str, str]:
        """What tells a user's own thing from another of the same name: its place and file.

        Returns:
            Nothing for the names known here; else ``origin`` and the ``sha256`` of its file.
        """
        if name in self:
            return {}
        self.load(name)
        file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
        return {"origin": name, **({"sha256": sha256_file(Path(file))} if file else {})}
