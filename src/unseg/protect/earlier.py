"""What was protected before is not protected again unasked: noise on noise breaks the bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.protect.manifest import MANIFEST, MASKS, Manifest, is_manifest, parts_of


def refuse_protected(inputs: Sequence[Path], out: Path) -> None:
    """Refuse inputs in which a run's manifest lists protected images, or that lie beside one.

    Args:
        inputs: files and folders that are to be protected.
        out: the output folder, whose own manifest is another matter.

    Raises:
        UnsegError: naming the manifest.
    """
    places = [one.resolve() for one in inputs]
    found = [folder for folder in _folders(inputs, out) if _lists_images(folder, places)]
    if found:
        raise UnsegError(
            f"{found[0]} holds images that unseg protect wrote ({MANIFEST} lists them): "
            "protected again they would change by more than the bound; give the originals, or "
            "--again"
        )


def _folders(inputs: Sequence[Path], out: Path) -> list[Path]:
    """Folders with a manifest: those inside the inputs, and those that the inputs lie in."""
    folders: dict[Path, None] = {}
    for start in inputs:
        here = start.resolve()
        for above in here.parents if here.is_file() else (here, *here.parents):
            listed = (above / MANIFEST).is_file() or parts_of(above, MANIFEST)
            if listed and above != out.resolve():
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
