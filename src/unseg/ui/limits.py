"""How much a page takes, and the sentences that refuse more."""

from __future__ import annotations

from collections.abc import Sequence

from unseg.errors import UnsegError

#: Largest file, in bytes. A photograph of 64 megapixels in 8-bit colour has 192 MB as a PNG.
FILE_BYTES = 200 * 1_000_000
#: Most photographs at a time, and most bytes of them all.
PHOTOS, ALL_BYTES = 100, 1_000 * 1_000_000
#: Longest body of a request that is no upload: events carry names and choices.
EVENT_BYTES = 1_000_000


def megabytes(count: int) -> str:
    """Bytes as people read them.

    Example:
        >>> megabytes(200_000_000), megabytes(1_234), megabytes(1_500_000)
        ('200 MB', '1 kB', '1.5 MB')
    """
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB"
    return f"{count / 1e6:.1f}".removesuffix(".0") + " MB"


def check_file(size: int, name: str) -> None:
    """Refuse a file that is too large.

    Args:
        size: in bytes.
        name: of the file.

    Raises:
        UnsegError: naming the limit.
    """
    if size > FILE_BYTES:
        raise UnsegError(
            f"{name} has {megabytes(size)}, and this page takes files of up to "
            f"{megabytes(FILE_BYTES)}: use unseg protect for it"
        )


def check_all(sizes: Sequence[int], name: str) -> None:
    """Refuse a photograph that is one too many.

    Args:
        sizes: bytes of every photograph, the new one among them.
        name: of the new one.

    Raises:
        UnsegError: naming the limit.
    """
    if len(sizes) > PHOTOS:
        raise UnsegError(
            f"{name} was left out, as this page takes {PHOTOS} photographs at a time: use unseg "
            "protect for whole folders"
        )
    if sum(sizes) > ALL_BYTES:
        raise UnsegError(
            f"{name} was left out, as this page takes {megabytes(ALL_BYTES)} at a time: use unseg "
            "protect for whole folders"
        )
