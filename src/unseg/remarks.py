"""What an owner should know of an image or a mask that was read, short of an error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """One thing to know.

    Args:
        text: a sentence without a full stop that makes sense behind the file's name.
        warning: whether it may mean that the wrong thing was protected or something was lost: it
            is told in the summary, the run ends with exit code 3, and ``--strict`` makes it an
            error. Else it is only kept in the record.
    """

    text: str
    warning: bool = False


def texts(remarks: tuple[Remark, ...], *, warning: bool) -> list[str]:
    """The texts of the warnings, or of all other remarks, each once."""
    return list(dict.fromkeys(one.text for one in remarks if one.warning == warning))
