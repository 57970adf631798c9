"""Settings in groups: frozen dataclasses whose fields are frozen dataclasses, one a heading.

A setting has a dotted name, such as ``optimisation.batch_size``. It is what ``--set`` takes, what
errors name, and what a model card lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar, get_args, get_type_hints

from unseg.errors import UnsegError

Settings = TypeVar("Settings")


def require(holds: bool, name: str, value: object, wanted: str) -> None:
    """Refuse a value.

    Args:
        holds: whether it is allowed.
        name: dotted.
        value: what was given.
        wanted: what is allowed.

    Raises:
        UnsegError: when it is not.
    """
    if not holds:
        raise UnsegError(f"{name} is {_text(value)}: use {wanted}")


def flat(settings: Any) -> dict[str, Any]:
    """All settings by their dotted names, in the order in which they are declared."""
    return {
        f"{group.name}.{field.name}": getattr(getattr(settings, group.name), field.name)
        for group in fields(settings)
        for field in fields(getattr(settings, group.name))
    }


def as_dict(settings: Any) -> dict[str, dict[str, Any]]:
    """A dictionary of groups for JSON, in which tuples are lists."""
    return {
        group: {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
        for group, values in asdict(settings).items()
    }


def from_dict(kind: type[Settings], values: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Rebuild from :func:`as_dict`; what is missing has its default.

    Raises:
        UnsegError: for a name that is not known, or a value that is not allowed.
    """
    settings = kind()
    known = flat(settings)
    given = {f"{g}.{name}": value for g, some in values.items() for name, value in some.items()}
    if unknown := sorted(set(given) - set(known)):
        raise UnsegError(
            f"there is no setting {', '.join(unknown)}: expected some of {', '.join(known)}"
        )
    return _changed(settings, {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def differing(now: Mapping[str, Mapping[str, Any]], before: Mapping[str, Any]) -> list[str]:
    """Dotted names of the settings in which two dictionaries of :func:`as_dict` differ."""
    names = {(group, name) for one in (now, before) for group in one for name in one[group]}
    return [
        f"{group}.{name}"
        for group, name in sorted(names)
        if now.get(group, {}).get(name) != before.get(group, {}).get(name)
    ]


def override(settings: Settings, pairs: Sequence[str]) -> Settings:
    """Apply pairs of ``name=value``, as ``--set`` takes them; tuples are written with commas.

    Args:
        settings: what to change; it stays as it is.
        pairs: the name is dotted, or the last part alone where only one group has it.

    Raises:
        UnsegError: for a name that is not known, or a value of a wrong type or not allowed.
    """
    known = flat(settings)
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        found = [name] if name in known else [k for k in known if k.partition(".")[2] == name]
        if not sign or not found:
            raise UnsegError(f"--set {pair}: expected name=value with one of {', '.join(known)}")
        if len(found) > 1:
            raise UnsegError(
                f"--set {pair}: {name} could be {' or '.join(found)}: write it in full"
            )
        changes[found[0]] = _parsed(settings, found[0], text, pair)
    return _changed(settings, changes)


def _changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with other values, by dotted name."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        group, _, field = name.partition(".")
        groups.setdefault(group, {})[field] = value
    whole: Any = settings
    return replace(
        whole, **{group: replace(getattr(whole, group), **some) for group, some in groups.items()}
    )


def _parsed(settings: Any, name: str, text: str, pair: str) -> Any:
    group, _, field = name.partition(".")
    current = getattr(getattr(settings, group), field)
    hint = get_type_hints(type(getattr(settings, group)))[field]
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if isinstance(current, tuple):
            parts = [part for part in text.split(",") if part]
            return tuple(float(p) for p in parts) if get_args(hint)[0] is float else tuple(parts)
        return type(current)(text)
    except (KeyError, ValueError) as error:
        kinds = {bool: "true or false", int: "a whole number", float: "a number",
                 tuple: "numbers with commas between them"}  # fmt: skip
        raise UnsegError(f"--set {pair}: {text!r} is not {kinds[type(current)]}") from error


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_text(part) for part in value) or "empty"
    return f"{value:g}" if isinstance(value, float) else str(value)
