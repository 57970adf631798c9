"""One key for a whole output folder: found before a run, compared with an earlier run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unseg.errors import UnsegError
from unseg.key import Key, OwnerKey, owner_key
from unseg.models.loaded import Models
from unseg.protect.manifest import RUN, Record, parts_of, read_run
from unseg.protect.settings import Settings
from unseg.protect.shard import Shard

#: Name of the key's description in the run's file.
FIELD = "key"


def with_key(
    settings: Settings, out: Path, *, resume: bool = False, outside: Sequence[Path] = ()
) -> Settings:
    """Settings whose key is known.

    Args:
        settings: their key may be a file or None, see :class:`Settings`.
        out: the output folder, in which no key may lie.
        resume: whether an earlier run in it goes on, or further parts of one are done.
        outside: further folders that no key may lie in.

    Raises:
        UnsegError: when there is no usable key, or the run that goes on had another.
    """
    earlier = _earlier(out) if resume else None
    # A new key would not be that of a run that had one.
    found = settings.key
    if not isinstance(found, OwnerKey):
        given = None if found is None else found if isinstance(found, Key) else Path(found)
        found = owner_key(given, make=earlier is None, outside=(out, *outside))
    if earlier is not None and not found.is_of(earlier):
        raise UnsegError(
            f"{out} was begun with another key, from {earlier.get('source')}, and this one is from "
            f"{found.source}: give that key with --key, or --overwrite to protect all images anew"
        )
    return replace(settings, key=found)


def models_of(settings: Settings) -> Models:
    """The models of a run, with its key."""
    found = settings.owner_key
    key = None if found is None else found.key
    return Models(settings.model, settings.salience, settings.device, key)


def without_others(records: list[Record], out: Path, settings: Settings) -> list[Record]:
    """Records of an earlier run; those that another key made no longer count as done.

    Args:
        records: of images that this run leaves alone.
        out: the output folder, with the earlier run's file.
        settings: with this run's key.
    """
    earlier, found = _earlier(out), settings.owner_key
    if earlier is None or (found is not None and found.is_of(earlier)):
        return records
    return [record.model_copy(update={"settings_sha256": None}) for record in records]


def _earlier(out: Path) -> dict[str, str] | None:
    """What an earlier run's file says of its key, or that of any part of it."""
    runs: list[Shard | None] = [None] if (out / RUN).exists() else []
    for shard in (*runs, *parts_of(out, RUN).values()):
        described = read_run(out, shard).get(FIELD)
        if isinstance(described, dict):
            return described
    return None
