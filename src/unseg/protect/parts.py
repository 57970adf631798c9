"""Parts of what lies at addresses or in shards: fetched, protected as a folder is, and put back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from unseg.errors import UnsegError
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.cvat import LABELMAP
from unseg.masks.pairing import MASK_ENDINGS, NameIndex
from unseg.protect.manifest import MASKS, Record
from unseg.storage.stores import Folder, Store
from unseg.storage.tars import Member, fresh, is_shard, members_of, packed, renamed

#: What stands before the names of masks among marks.
GIVEN = "--masks/"
#: Images of a part, where they are files: what is done again when a run is killed.
TOGETHER = 64


@dataclass(frozen=True)
class Part:
    """What is fetched, protected and committed at once: a shard, or some files.

    Args:
        name: of its record among the commits.
        home: which of the inputs it lies in.
        marks: of each file that it is made of, what changes when that does.
        images: names of the images; none of a shard, which is looked into later.
        masks: by image, the name of its mask in the folder of masks, where it has one.
    """

    name: str
    home: int
    marks: dict[str, str]
    images: tuple[str, ...] = ()
    masks: dict[str, str] = field(default_factory=dict)

    @property
    def shard(self) -> str | None:
        """Name of the shard; None where it is made of files."""
        return None if self.images else next(iter(self.marks))

    def needs(self, image: str) -> dict[str, str]:
        """Marks of the files that one image depends on."""
        names = [image]
        if image in self.masks:
            names.append(f"{GIVEN}{self.masks[image]}")
        names += [name for name in self.marks if name == f"{GIVEN}{LABELMAP}"]
        return {name: self.marks[name] for name in names}

    def only(self, images: Sequence[str]) -> Part:
        """The part with some of its images."""
        marks: dict[str, str] = {}
        for image in images:
            marks |= self.needs(image)
        masks = {image: self.masks[image] for image in images if image in self.masks}
        return Part(_named(images), self.home, marks, tuple(images), masks)


@dataclass(frozen=True)
class Fetched:
    """A part in a folder of this machine.

    Args:
        here: holds ``in``, ``masks`` where there are any, and later ``out``.
        masked: whether there are masks.
        failed: what could not be fetched, and why.
        members: of a shard.
    """

    here: Path
    masked: bool
    failed: dict[str, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Shelf:
    """Where parts come from and go to.

    Args:
        inputs: where the images are.
        out: where the protected ones go.
        masks: where masks are; those of shards are inside them.
    """

    inputs: tuple[Store, ...]
    out: Store
    masks: Store | None = None

    def fetch(self, part: Part, here: Path) -> Fetched:
        """Have a part in a folder.

        Raises:
            UnsegError: when a shard cannot be read.
        """
        (here / "in").mkdir()
        (here / "masks").mkdir()
        if part.shard is not None:
            return self._unpacked(part.shard, self.inputs[part.home], here)
        failed = {}
        for name in part.images:
            try:
                _lay(self.inputs[part.home], name, here / "in")
            except UnsegError as error:
                failed[name] = str(error)
        if self.masks is not None:
            for name in [name for name in part.marks if name.startswith(GIVEN)]:
                _lay(self.masks, name.removeprefix(GIVEN), here / "masks")
        return Fetched(here, self.masks is not None, failed)

    def _unpacked(self, shard: str, store: Store, here: Path) -> Fetched:
        members = list(members_of(store.read(shard), shard))
        masked = False
        for member in members:
            if member.data is None or not is_image(member.name):
                continue
            masked = masked or is_mask(member.name)
            target = _inside(here / ("masks" if is_mask(member.name) else "in"), member.name)
            target.write_bytes(member.data)
        return Fetched(here, masked, members=members)

    def publish(self, part: Part, fetched: Fetched, records: Sequence[Record]) -> dict[str, int]:
        """Put what was protected in its place; durable when this returns.

        Args:
            part: that was fetched.
            fetched: with ``out`` in its folder.
            records: of its images, named as in its folder.

        Returns:
            Names of what was written, and sizes in bytes.
        """
        out = fetched.here / "out"
        written = [record for record in records if record.status != "error"]
        if part.shard is None:
            sizes = {}
            for record in written:
                for name in (record.mask, record.output):
                    assert name is not None
                    data = (out / name).read_bytes()
                    self.out.put(name, data)
                    sizes[name] = len(data)
            return sizes
        masks = [
            fresh(record.mask.removeprefix(f"{MASKS}/"), (out / record.mask).read_bytes())
            for record in written
            if record.mask is not None
        ]
        done = {record.source: record for record in written}
        failed = {record.source for record in records} - set(done)
        kept = []
        for member in fetched.members:
            if member.name in done:
                name = done[member.name].output
                kept.append(renamed(member, name, (out / name).read_bytes()))
            elif member.name not in failed:
                kept.append(member)
        sizes = {}
        for name, members in ((f"{MASKS}/{part.shard}", masks), (part.shard, kept)):
            data = packed(members)
            self.out.put(name, data)
            sizes[name] = len(data)
        return sizes


def placed(record: Record, part: Part) -> Record:
    """A record as the whole run names things: members of a shard begin with the shard's name."""
    if part.shard is None:
        return record
    names = {"source": f"{part.shard}/{record.source}", "output": f"{part.shard}/{record.output}"}
    if record.mask is not None:
        names["mask"] = f"{MASKS}/{part.shard}/{record.mask.removeprefix(f'{MASKS}/')}"
    if record.mask_file is not None:
        names["mask_file"] = f"{part.shard}/{record.mask_file}"
    if record.error is not None:
        names["error"] = f"{part.shard}: {record.error}"
    return record.model_copy(update=names)


def is_image(name: str) -> bool:
    """Whether a file is an image, by its name; hidden ones are not."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_mask(name: str) -> bool:
    """Whether a member of a shard is the mask of its sample, such as ``000017.seg.png``.

    Example:
        >>> is_mask("a/000017.seg.png"), is_mask("a/000017.png"), is_mask("a/mask.png")
        (True, False, False)
    """
    kinds = PurePosixPath(name).name.lower().split(".")[1:-1]
    return bool(kinds) and kinds[-1] in MASK_ENDINGS


def parts_in(
    listed: Sequence[dict[str, str]], masks: dict[str, str] | None, many: int
) -> tuple[list[Part], list[str]]:
    """Parts of what lies in the inputs: of its images, or where there are none of its shards.

    Args:
        listed: files of each input with their marks.
        masks: files of the folder of masks, with their marks; None where there is none.
        many: images of a part.

    Returns:
        The parts, the same for the same files; and the names of what is left out.

    Raises:
        UnsegError: when a name is there twice, leads out of its place, or there is no image.
    """
    homes: dict[str, int] = {}
    for home, names in enumerate(listed):
        for name in names:
            if name.startswith(f"{MASKS}/"):
                continue
            path = PurePosixPath(name)
            if ".." in path.parts or path.is_absolute():
                raise UnsegError(f"the name {name!r} leads out of its place: rename the file")
            if name in homes and (is_image(name) or is_shard(name)):
                raise UnsegError(f"{name} is in two of the inputs: protect them one by one")
            homes[name] = home
    images = sorted(name for name in homes if is_image(name))
    shards = [] if images else sorted(name for name in homes if is_shard(name))
    ignored = sorted(set(homes) - set(images) - set(shards))
    if shards:
        if masks is not None:
            raise UnsegError(
                "--masks is for images in files: masks of shards are members of them, such as "
                "000017.seg.png of 000017.jpg"
            )
        found = (Part(name, homes[name], {name: listed[homes[name]][name]}) for name in shards)
        return list(found), ignored
    if not images:
        raise UnsegError(
            "found no image and no shard: expected files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))} or .tar"
        )
    index = None if masks is None else NameIndex([n for n in masks if is_image(n)], images)
    parts, given = [], masks or {}
    for home in range(len(listed)):
        mine = [name for name in images if homes[name] == home]
        for start in range(0, len(mine), many):
            chosen = mine[start : start + many]
            pairs = {name: None if index is None else index.find(name) for name in chosen}
            of = {name: mask for name, mask in pairs.items() if mask is not None}
            marks = {name: listed[home][name] for name in chosen}
            for mask in (*of.values(), *(one for one in (LABELMAP,) if one in given)):
                marks[f"{GIVEN}{mask}"] = given[mask]
            parts.append(Part(_named(chosen), home, marks, tuple(chosen), of))
    if masks is not None and not any(part.masks for part in parts):
        raise UnsegError(
            f"--masks: no mask fits any of the {len(images)} images: give masks the same names as "
            f"the images, such as {PurePosixPath(images[0]).stem}.png for {images[0]}"
        )
    return parts, ignored


def _named(images: Sequence[str]) -> str:
    """A name for some images: of the same images the same."""
    return f"files-{hashlib.sha256(chr(10).join(images).encode()).hexdigest()[:24]}"


def _lay(store: Store, name: str, folder: Path) -> None:
    """Have a file in a folder: a link where it lies on this machine, else a copy."""
    target = _inside(folder, name)
    if isinstance(store, Folder):
        target.symlink_to((store.path / name).resolve())
    else:
        target.write_bytes(store.read(name))


def _inside(folder: Path, name: str) -> Path:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
