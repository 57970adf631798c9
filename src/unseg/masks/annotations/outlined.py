"""Large COCO files: outlines stay text until one is asked for, so that the rest is small.

Nine tenths of a file of COCO's instances are corners of polygons. As lists of Python's they take
eight times the room of the file and most of the time to read it.
"""

from __future__ import annotations

import json
import mmap
import re
import secrets
from array import array
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError

_NUMBERS = rb"[-+.0-9eE,\s]*"
#: Polygons of numbers alone; all else, run lengths too, is read as usual.
_POLYGONS = re.compile(
    rb'("segmentation"\s*:\s*)'
    rb"(\[\s*\[" + _NUMBERS + rb"\](?:\s*,\s*\[" + _NUMBERS + rb"\])*\s*\])"
)
_BACKSLASH = ord("\\")
_BOM = b"\xef\xbb\xbf"


class OutlinedJson:
    """A JSON file whose polygons are read when they are asked for.

    Args:
        path: of the file, which must not change as long as this is used.

    Attributes:
        body: the content, in which :meth:`outline` gives the value of ``segmentation``.

    Raises:
        ValueError: when it is no JSON or not UTF-8.
        OSError: when it cannot be read.
        RecursionError: when it is nested too deeply.
    """

    def __init__(self, path: Path) -> None:
        self._starts, self._ends = array("Q"), array("Q")
        # What stands for an outline is a number that no file can hold by design.
        self._first = secrets.randbits(100) << 40
        self._text: mmap.mmap | bytes = b""
        with path.open("rb") as stream:
            if path.stat().st_size:
                self._text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        short = _POLYGONS.sub(self._note, self._text).removeprefix(_BOM)
        self.body: Any = json.loads(short.decode("utf-8"))

    def _note(self, match: re.Match[bytes]) -> bytes:
        if match.start() and self._text[match.start() - 1] == _BACKSLASH:  # within a text
            return match.group(0)
        self._starts.append(match.start(2))
        self._ends.append(match.end(2))
        return match.group(1) + str(self._first + len(self._starts) - 1).encode()

    def outline(self, value: Any) -> Any:
        """What a file holds as ``segmentation``, given what the body holds.

        Raises:
            ValueError: when it is no JSON.
        """
        if not isinstance(value, int) or not 0 <= (place := value - self._first) < len(
            self._starts
        ):
            return value
        return json.loads(self._text[self._starts[place] : self._ends[place]])


def read_outlined(path: Path, expected: str) -> OutlinedJson:
    """Read a JSON file; see :class:`OutlinedJson`.

    Raises:
        UnsegError: when it is none, naming it and what was expected.
    """
    try:
        return OutlinedJson(path)
    except OSError as error:
        raise UnsegError(f"{path} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise UnsegError(f"{path} is not UTF-8: save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise UnsegError(f"{path} is not JSON ({error}): {expected}") from error
