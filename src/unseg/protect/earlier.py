"""What was protected before is not protected again unasked: noise on noise breaks the bound.

Manifests tell: those in and above the inputs, and beside them. A copy without one is known by its
checksum. Nothing in a picture itself says that it is protected, as that would tell trainers what to
leave out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.protect.manifest import (
    MANIFEST,
    MASKS,
    PARQUET,
    Manifest,
    holds_manifest,
    is_manifest,
)
from unseg.provenance import sha256_file

#: Ending of the record that is written beside a single image.
RECORD = ".unseg.json"


def refuse_protected(inputs: Sequence[Path], out: Path) -> frozenset[str]:
    """Refuse inputs in which a run's manifest lists protected images, or that lie beside one.

    Args:
        inputs: files and folders that are to be protected.
        out: the output folder, whose own manifest is another matter.

    Returns:
        Checksums of the protected images that runs in reach wrote, for copies of them.

    Raises:
        UnsegError: naming the manifest, or a single image that a run wrote.
    """
    places = [one.resolve() for one in inputs]
    folders = _folders(inputs, out)
    found = [folder for folder in folders if _lists_images(folder, places)]
    if found:
        raise UnsegError(
            f"{found[0]} holds images that unseg protect wrote ({MANIFEST} lists them): "
            "protected again they would change by more than the bound; give the originals, or "
            "--again"
        )
    beside = {place.parent for place in places}
    beside |= {place.parent.parent for place in places if place.is_file()}
    near = {one.parent for above in beside for one in _in_folders(above, out)}
    published = {sum_ for one in (*folders, *sorted(near - set(folders))) for sum_ in _of_run(one)}
    singles = {*beside, *(place for place in places if place.is_dir())}
    published.update(sum_ for folder in sorted(singles) for sum_ in _of_singles(folder))
    for path in inputs:
        with suppress(OSError):  # reading it will say why
            if path.is_file() and sha256_file(path) in published:
                raise UnsegError(again(str(path)))
    return frozenset(published)


def again(name: str) -> str:
    """What to tell the owner of an image that is protected already."""
    return (
        f"{name} is what an earlier run wrote, so it is protected already: give the original "
        "(unseg protect --again protects it once more)"
    )


def _in_folders(above: Path, out: Path) -> Iterator[Path]:
    """Manifests in the folders of a folder; what cannot be looked into tells nothing."""
    try:
        for name in (MANIFEST, PARQUET):
            for path in above.glob(f"*/{name}"):
                if path.parent != out.resolve() and path.is_file():
                    yield path
    except OSError:
        return


def _of_run(folder: Path) -> Iterator[str]:
    """Checksums of the protected images of a run's folder."""
    with suppress(UnsegError):  # a manifest that cannot be read tells nothing
        for record in Manifest(folder).read()[0]:
            if record.status == "protected" and record.output_sha256 is not None:
                yield record.output_sha256


def _of_singles(folder: Path) -> Iterator[str]:
    """Checksums of single images whose records lie in a folder."""
    for path in folder.glob(f"*{RECORD}"):
        try:
            record = json.loads(path.read_text("utf-8"))["record"]
            if record["status"] == "protected":
                yield str(record["output_sha256"])
        except (OSError, ValueError, KeyError, TypeError):  # somebody else's, or damaged
            continue


def _folders(inputs: Sequence[Path], out: Path) -> list[Path]:
    """Folders with a manifest: those inside the inputs, and those that the inputs lie in."""
    folders: dict[Path, None] = {}
    for start in inputs:
        here = start.resolve()
        for above in here.parents if here.is_file() else (here, *here.parents):
            if above != out.resolve() and holds_manifest(above):
                folders[above] = None
    for path, _ in walk([one for one in inputs if one.is_dir()], {out.resolve()}, {MASKS}):
        if is_manifest(path.name):
            folders[path.parent] = None
    return list(folders)


def _lists_images(folder: Path, places: Sequence[Path]) -> bool:
    """Whether a manifest lists a protected image that is there and among the inputs."""
    records, _ = Manifest(folder).read()
    written = ((folder / r.output).resolve() for r in records if r.status == "protected")
    return any(
        path.is_file() and any(path.is_relative_to(place) for place in places) for path in written
    )
