"""Which images a list names: a run over some of a folder or data set."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from unseg.datasets.layout import text_of
from unseg.datasets.mentions import Names
from unseg.errors import UnsegError
from unseg.masks.pairing import key_of


def read_names(path: Path) -> list[str]:
    """Names of images in a file.

    Args:
        path: a text with one name a line, or a manifest (``.jsonl``), whose sources count.

    Raises:
        UnsegError: when it cannot be read, or names none.
    """
    lines = [line.strip() for line in text_of(path).splitlines() if line.strip()]
    if path.suffix.lower() == ".jsonl":
        try:
            lines = [str(json.loads(line)["source"]) for line in lines]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UnsegError(
                f"{path} is no manifest ({type(error).__name__}: {error}): expected a record a "
                "line, each with its source"
            ) from error
    if not lines:
        raise UnsegError(f"{path} names no image: expected one name a line")
    return lines


def chosen_images(path: Path, images: Collection[str], known: Iterable[str] = ()) -> set[str]:
    """The images that a list names, by path, by name, or by stem as in Pascal VOC's lists.

    Args:
        path: of the list; see :func:`read_names`.
        images: names of those to choose from.
        known: names of further images, which a list may name for nothing.

    Raises:
        UnsegError: when a name is no image's or several images', or none is chosen.
    """
    every = {*images, *known}
    names = Names(every)
    stems = Names(PurePosixPath(key_of(name)).as_posix() for name in every)
    by_key: dict[str, list[str]] = {}
    for name in sorted(every):
        by_key.setdefault(key_of(name), []).append(name)
    found: set[str] = set()
    for said in read_names(path):
        fits = names.find(said)
        if not fits:
            fits = [name for key in stems.find(said) for name in by_key[key]]
        if len(fits) != 1:
            text = f"may be {fits[0]} or {fits[1]}" if fits else "is none of the images"
            raise UnsegError(
                f"{path} names {said}, which {text}: give names as they are below the input"
            )
        found.add(fits[0])
    if not found & set(images):
        raise UnsegError(f"{path} names none of the images that would be protected")
    return found & set(images)
