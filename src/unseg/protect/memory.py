"""Whether an image fits into memory, asked before the system would end the whole run."""

from __future__ import annotations

from pathlib import Path

from unseg.errors import UnsegError

#: Bytes that protecting takes for a pixel: 14 were measured in 8-bit colour; 16 bits take more.
BYTES_A_PIXEL = 24
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available() -> int | None:
    """Bytes that this process may still take; None where the system does not say."""
    found = []
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError):
        pass
    for limit, used in _CGROUPS:
        try:
            found.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            found.append(soft - pages * resource.getpagesize())
    except (ImportError, OSError, ValueError):
        pass
    return max(0, min(found)) if found else None


def refuse_too_large(pixels: int, name: str) -> None:
    """Refuse an image that memory does not hold.

    Args:
        pixels: how many it has.
        name: what to call it.

    Raises:
        UnsegError: saying how much is needed.
    """
    free = available()
    if free is not None and pixels * BYTES_A_PIXEL > free:
        raise UnsegError(
            f"{name} has {pixels / 1e6:.0f} megapixels and needs "
            f"{pixels * BYTES_A_PIXEL / 2**30:.1f} GiB of memory, but {free / 2**30:.1f} GiB are "
            "left: end other programs, or make it smaller"
        )


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in any library's words."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "insufficient memory" in text
        or "can't allocate memory" in text
        or "not enough memory" in text
    )
