"""Names that tell configurations apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any


def distinguish(
    configs: Sequence[Mapping[str, Any]],
    ignore: Iterable[str] = (),
    within: Sequence[Hashable] | None = None,
) -> list[str]:
    """Names of configurations, with the settings that differ where a name occurs with several.

    Args:
        configs: each with a ``name``.
        ignore: settings that are shown elsewhere.
        within: a group of each; only names of one group are told apart.

    Example:
        >>> distinguish([{"name": "a", "n": 1}, {"name": "a", "n": 2}, {"name": "b", "n": 1}])
        ['a (n=1)', 'a (n=2)', 'b']
    """
    skip = {"name", *ignore}
    flats = [{k: v for k, v in _flat(c).items() if k not in skip} for c in configs]
    scopes = within or [None] * len(configs)
    groups: defaultdict[Hashable, list[dict[str, Any]]] = defaultdict(list)
    for config, flat, scope in zip(configs, flats, scopes, strict=True):
        groups[config["name"], scope].append(flat)
    labels = []
    for config, flat, scope in zip(configs, flats, scopes, strict=True):
        others = groups[config["name"], scope]
        keys = sorted({key for other in others for key in other})
        differing = [k for k in keys if any(other.get(k) != flat.get(k) for other in others)]
        shown = ", ".join(f"{k.rpartition('.')[2]}={_short(flat.get(k))}" for k in differing)
        labels.append(f"{config['name']} ({shown})" if shown else str(config["name"]))
    return labels


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _short(value: Any) -> str:
    text = str(value)
    # A checksum needs no more than its beginning.
    return text[:8] if len(text) == 64 else text
