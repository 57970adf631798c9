"""What an output folder holds already, and whether a run may write into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from unseg import files
from unseg.errors import UnsegError
from unseg.protect.manifest import MANIFEST, PARQUET, RUN, parts_of, read_run
from unseg.protect.shard import Shard

#: What to do with an output folder that holds an earlier run.
Existing = Literal["refuse", "overwrite", "resume"]


def earlier_settings(out: Path, existing: Existing, shard: Shard | None) -> dict[str, Any]:
    """Settings of the run that is continued, or of any of its parts; empty where there is none."""
    if existing != "resume":
        return {}
    parts: list[Shard | None] = [None] if (out / RUN).exists() else []
    parts += parts_of(out, RUN).values()
    if not parts:
        return {}
    chosen = shard if shard in parts else parts[0]
    return dict(read_run(out, chosen).get("settings", {}))


def check_output(out: Path, existing: Existing, shard: Shard | None = None) -> None:
    """Find out whether a run may write into a folder, before anything slow is done.

    Args:
        out: made where it is missing.
        existing: see :func:`unseg.protect.folder.protect_folder`.
        shard: the part of the run.

    Raises:
        UnsegError: when it cannot be written, holds an earlier run that is to be refused, or one
            that is split into another number of parts.
    """
    with files.temporary_file(out / MANIFEST, b""):
        pass  # the folder can be written, or this has said why not
    parts = list(parts_of(out, MANIFEST).values())
    if shard is not None and (others := {one.count for one in parts} - {shard.count}):
        raise UnsegError(
            f"{out} holds a run in {others.pop()} parts, not {shard.count}: give that number, or "
            "join them with --resume and without --shard"
        )
    whole = any((out / name).exists() for name in (MANIFEST, PARQUET))
    there = whole or shard in parts or (shard is None and bool(parts))
    if existing == "refuse" and there:
        raise UnsegError(
            f"{out} holds an earlier run: use --resume to continue it, --overwrite to replace "
            "its images, or choose another folder with -o"
        )
