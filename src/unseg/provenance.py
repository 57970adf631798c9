"""Where a result came from: versions, command, git revision and checksums."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("unseg", "torch", "transformers", "monai", "kornia", "torchmetrics", "accelerate",
             "numpy", "pillow")  # fmt: skip


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_files(paths: Iterable[Path]) -> str:
    """One hex sha256 over the names and contents of several files, independent of their order."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        digest.update(path.name.encode())
        digest.update(bytes.fromhex(sha256_file(path)))
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that influence a result; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """Revision of the checkout this package runs from, '+dirty' appended if it has changes."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip

    try:
        if Path(git("rev-parse", "--show-toplevel")) != here.parents[1]:
            return None
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def provenance(seed: int, data_sha256: str | None = None) -> dict[str, Any]:
    """The fields every result file carries.

    Args:
        seed: the run's seed.
        data_sha256: checksum of the data, from :func:`sha256_files`.
    """

    # Where a user keeps data is nobody's business: of a path outside the working folder only the
    # last two parts are kept.
    def shorten(argument: str) -> str:
        path = Path(argument)
        outside = path.is_absolute() or ".." in path.parts
        return "/".join(path.parts[-2:]) if outside and len(path.parts) > 2 else argument

    program = "unseg" if Path(sys.argv[0]).stem in {"unseg", "__main__"} else Path(sys.argv[0]).name
    return {
        "seed": seed,
        "command": shlex.join([program, *map(shorten, sys.argv[1:])]),
        "git_revision": git_revision(),
        "versions": library_versions(),
        "data_sha256": data_sha256,
    }
