"""OUT/unseg-dataset.json: what a protected data set holds beside the images of its manifest."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from unseg import files
from unseg.errors import UnsegError
from unseg.protect.manifest import MANIFEST, MASKS, RUN
from unseg.provenance import sha256_file

DATASET = "unseg-dataset.json"
#: Format of that file; raised when it changes.
FORMAT = 1
#: What a run writes into its folder beside images: no part of a data set.
OWN = (MANIFEST, RUN, DATASET, MASKS)

_UNSAFE = set('<>:"|?*\\')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}


@dataclass(frozen=True)
class Carried:
    """A file of the data set that was not protected.

    Args:
        how: ``copied`` byte for byte, or ``rewritten`` with the new names of images.
        sha256: hex checksum of the written file.
    """

    how: Literal["copied", "rewritten"]
    sha256: str


def write_carried(out: Path, content: Mapping[str, Any], carried: Mapping[str, Carried]) -> None:
    """Write the file.

    Args:
        out: the output folder.
        content: what the data set is, as JSON.
        carried: files by name.
    """
    listed = {name: asdict(one) for name, one in sorted(carried.items())}
    body = {"format": FORMAT, **content, "files": listed}
    text = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
    files.write_atomically(out / DATASET, text.encode("utf-8", "surrogateescape"))


def read_carried(out: Path) -> dict[str, Carried]:
    """The files that a data set's run wrote beside its images; none where it was no data set.

    Raises:
        UnsegError: when the file is damaged, of a newer format, or leads out of the folder.
    """
    path = out / DATASET
    if not path.is_file():
        return {}
    try:
        body = json.loads(path.read_text("utf-8", "surrogateescape"))
        number = body.get("format", 0)
        found = {name: Carried(**one) for name, one in body["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsegError(
            f"{path} cannot be read ({error}): expected a file that unseg dataset wrote"
        ) from error
    if number > FORMAT:
        raise UnsegError(f"{path} has format {number}: install the version of unseg that wrote it")
    for name in found:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UnsegError(f"{path} names {name!r}, which is not inside the folder")
    return found


def is_complete(out: Path) -> bool:
    """Whether all files of a data set were copied; true where there is no data set."""
    path = out / DATASET
    if not path.is_file():
        return True
    return bool(json.loads(path.read_text("utf-8", "surrogateescape")).get("status") == "finished")


def copy_file(source: Path, out: Path, name: str, earlier: Carried | None) -> Carried:
    """Copy a file byte for byte, unless the same bytes are there from an earlier run.

    Args:
        source: the file.
        out: the output folder.
        name: of the copy, relative to it.
        earlier: what an earlier run noted of the copy.

    Raises:
        UnsegError: when it cannot be read or written.
    """
    target = out / name
    try:
        digest = sha256_file(source)
        same = earlier is not None and earlier.sha256 == digest and target.is_file()
        if not (same and sha256_file(target) == digest):
            files.write_atomically(target, lambda temporary: _copy(source, temporary))
    except OSError as error:
        raise UnsegError(
            f"{source} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    return Carried("copied", digest)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as incoming, target.open("xb") as written:
        while block := incoming.read(1 << 20):
            written.write(block)


def write_file(out: Path, name: str, data: bytes) -> Carried:
    """Write a file that was rewritten."""
    files.write_atomically(out / name, data)
    return Carried("rewritten", hashlib.sha256(data).hexdigest())


def every_file(root: Path) -> Iterator[str]:
    """Names of all files of a data set, hidden ones too, sorted by folder.

    Raises:
        UnsegError: when a folder cannot be listed, or something is neither file nor folder.
    """

    def unreadable(error: OSError) -> None:
        raise UnsegError(
            f"{error.filename} cannot be read ({error.strerror}): check its permissions"
        ) from error

    for place, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        here = Path(place)
        real = here.resolve()
        # A link to a folder that it lies in would lead round and round.
        folders[:] = sorted(
            name for name in folders if not real.is_relative_to((here / name).resolve())
        )
        below = here.relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for name in sorted(names):
            if not (here / name).is_file():
                raise UnsegError(
                    f"{here / name} is not a file (a broken link, a pipe or a device): remove it"
                )
            yield prefix + name


def refuse_names(names: Collection[str]) -> None:
    """Refuse names that another system cannot hold: the data set is to be handed on.

    Raises:
        UnsegError: naming the first, and what is wrong with it.
    """
    seen: dict[str, str] = {}
    for name in sorted(names):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            printable = name.encode("utf-8", "backslashreplace").decode()
            raise UnsegError(f"{printable}: the name is not UTF-8: rename the file") from None
        for part in PurePosixPath(name).parts:
            wrong = _UNSAFE & set(part) or {one for one in part if ord(one) < 32}
            if wrong or part[-1] in ". " or part.split(".")[0].lower() in _RESERVED:
                raise UnsegError(
                    f"{name!r} cannot be a file's name on Windows ({part!r}): rename the file, and "
                    "whatever mentions it"
                )
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise UnsegError(
                f"{seen[key]} and {name} differ only in case or in the form of their accents, and "
                "are one file on Windows and macOS: rename one of them"
            )
        seen[key] = name
