"""WebDataset shards: tar files whose members belong together by the first part of their names."""

from __future__ import annotations

import copy
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from unseg.errors import UnsegError

SUFFIX = ".tar"


@dataclass(frozen=True)
class Member:
    """One member of a shard.

    Args:
        header: as it was read: name, times, owner and mode.
        data: its bytes; None of folders and the like.
    """

    header: tarfile.TarInfo
    data: bytes | None

    @property
    def name(self) -> str:
        """Its name, with ``/``."""
        return self.header.name.removeprefix("./")


def is_shard(name: str) -> bool:
    """Whether a file is a shard, by its name."""
    return name.lower().endswith(SUFFIX)


def sample_of(name: str) -> str:
    """The sample that a member belongs to: its folder, and its name up to the first dot.

    Example:
        >>> sample_of("a/000017.seg.png")
        'a/000017'
    """
    path = PurePosixPath(name)
    return str(path.with_name(path.name.partition(".")[0])) if path.name.strip(".") else name


def members_of(data: bytes, name: str) -> Iterator[Member]:
    """Members of a shard, in order.

    Args:
        data: the shard's bytes.
        name: what to call it in messages.

    Raises:
        UnsegError: when it is damaged or compressed, holds a member twice, or one whose name leads
            out of it.
    """
    seen: set[str] = set()
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for header in archive:
                path = PurePosixPath(header.name)
                if path.is_absolute() or ".." in path.parts or "\x00" in header.name:
                    raise UnsegError(f"{name} holds {header.name!r}, which leads out of it")
                body = archive.extractfile(header) if header.isfile() else None
                member = Member(header, None if body is None else body.read())
                if member.data is not None and member.name in seen:
                    raise UnsegError(f"{name} holds {member.name} twice: write the shard anew")
                seen.add(member.name)
                yield member
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise UnsegError(
            f"{name} cannot be read as a shard ({error}): expected a tar file that is not "
            "compressed"
        ) from error


def packed(members: Iterable[Member]) -> bytes:
    """A shard of members, in their order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            header = member.header
            if member.data is None:
                archive.addfile(header)
            else:
                header.size = len(member.data)
                archive.addfile(header, io.BytesIO(member.data))
    return stream.getvalue()


def renamed(member: Member, name: str, data: bytes) -> Member:
    """A member with another name and content, and the rest as it was."""
    header = copy.copy(member.header)
    header.name, header.pax_headers = name, {}
    return Member(header, data)


def fresh(name: str, data: bytes) -> Member:
    """A new member that tells nothing of who wrote it, or when."""
    return Member(tarfile.TarInfo(name), data)
