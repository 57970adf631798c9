"""Names of classes: what a wrong one may have meant, and the lists that lie beside labels."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from unseg.errors import UnsegError

#: Names that an error lists.
_SHOWN = 20
#: Files that list names of classes, one a line, and YAML files that do beside other things.
LISTS = ("classes.txt", "labels.txt", "obj.names")
_USUAL = ("data", "dataset")
#: Keys beside ``names`` by which a YAML file is that of a data set.
SPLITS = ("train", "val", "valid", "test")


def unknown_class(name: str, known: Iterable[str]) -> str:
    """What to tell of a class that is not there.

    Example:
        >>> unknown_class("persn", ["car", "person"])
        'did you mean person? There are car, person'
    """
    listed = list(dict.fromkeys(known))
    lower = {one.lower(): one for one in listed}
    meant = get_close_matches(name.lower(), lower, 1, 0.6)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    start = f"did you mean {lower[meant[0]]}? There are" if meant else "choose from"
    return f"{start} {', '.join(listed[:_SHOWN])}{more}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Content of a YAML file, if it is a mapping; else nothing.

    Raises:
        UnsegError: when it cannot be read.
    """
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UnsegError(f"{path} cannot be read as YAML ({reason}): mend it") from error
    return body if isinstance(body, dict) else {}


def data_yaml(folder: Path) -> Path | None:
    """The YAML file of a folder that names splits and classes: ``data.yaml`` or the first like it.

    Raises:
        UnsegError: when one cannot be read.
    """
    found = sorted(path for end in ("*.yaml", "*.yml") for path in folder.glob(end))
    found.sort(key=lambda path: path.stem not in _USUAL)
    for path in found:
        body = read_yaml(path)
        if "names" in body and any(split in body for split in SPLITS):
            return path
    return None


def names_in_yaml(path: Path) -> dict[int, str]:
    """Names of a YAML file by the file's class, from 0 on.

    Raises:
        UnsegError: when they are neither a list nor numbers with names.
    """
    names = read_yaml(path).get("names")
    try:
        listed = dict(enumerate(names)) if isinstance(names, list) else dict(names or {})
        return {int(i): str(name) for i, name in listed.items()}
    except (TypeError, ValueError) as error:
        raise UnsegError(
            f"{path}: names is neither a list nor numbers with names ({error})"
        ) from error


def names_beside(labels: Path) -> dict[int, str]:
    """Names by the files' class, from 0 on, of a folder of YOLO's labels; none without a list.

    A list of names lies in the folder; ``data.yaml`` there or up to two folders above.

    Raises:
        UnsegError: when it cannot be read.
    """
    for name in LISTS:
        path = labels / name
        if path.is_file():
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UnsegError(f"{path} cannot be read ({error}): save it as UTF-8") from error
            return {i: line.strip() for i, line in enumerate(lines) if line.strip()}
    for folder in (labels, *labels.resolve().parents[:2]):
        path_of_yaml = data_yaml(folder)
        if path_of_yaml is not None:
            return names_in_yaml(path_of_yaml)
    return {}
