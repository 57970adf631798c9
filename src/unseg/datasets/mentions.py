"""Names of images in text files: found, resolved to a file, and changed where the file's name is.

Lists, tables, JSON, YAML and XML mention images by path, by name, or relative to some folder. All
that changes in a file is the suffix of the names that mean a renamed image.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.pairing import nfc

#: Suffixes of the files that are looked into.
TEXTS = (
    ".txt", ".lst", ".list", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".xml",
)  # fmt: skip
#: Larger text files are no lists of names.
MAX_TEXT = 1 << 29
_SUFFIXES = "|".join(re.escape(suffix[1:]) for suffix in sorted(IMAGE_SUFFIXES, reverse=True))
#: A name in quotes, between tags, or between blanks and commas.
_NAME = re.compile(
    rf'(?<=")[^"\n]+\.(?:{_SUFFIXES})(?=")'
    rf"|(?<=>)[^<>\n]+\.(?:{_SUFFIXES})(?=<)"
    # Beginning where a word does: else a long text without blanks, such as an image in base64,
    # would be looked through once from each of its letters.
    rf"|(?<![^\s\"'<>,;])[^\s\"'<>,;]+\.(?:{_SUFFIXES})(?![\w.])",
    re.IGNORECASE,
)


class Names:
    """The images of a data set, found again from what a file says of them.

    Args:
        images: names relative to the data set.
    """

    def __init__(self, images: Iterable[str]) -> None:
        self._known: dict[str, str] = {}
        self._tails: dict[str, list[str]] = defaultdict(list)
        for image in images:
            self._known[nfc(image)] = image
            parts = PurePosixPath(nfc(image)).parts
            for start in range(len(parts)):
                self._tails["/".join(parts[start:])].append(image)

    def find(self, text: str, folder: str = "") -> list[str]:
        """The images that a text may mean: one, several of one name, or none.

        Args:
            text: a name or path, with ``/`` or ``\\``.
            folder: of the file that says it, relative to the data set.
        """
        parts = _parts(text)
        near = _joined([*_parts(folder), *parts])
        for name in (near, _joined(parts)):
            if name in self._known:
                return [self._known[name]]
        plain = [part for part in parts if part not in ("..", ".")]
        for start in range(len(plain)):
            found = self._tails.get("/".join(plain[start:]))
            if found:
                return found
        return []


def _parts(text: str) -> list[str]:
    plain = nfc(text.partition("?")[0]).replace("\\\\", "/").replace("\\/", "/").replace("\\", "/")
    return [part for part in plain.strip().split("/") if part and part != "."]


def _joined(parts: list[str]) -> str:
    kept: list[str] = []
    for part in parts:
        if part == ".." and kept:
            kept.pop()
        elif part != "..":
            kept.append(part)
    return "/".join(kept)


def rewrite_mentions(
    root: Path, renamed: Mapping[str, str], skipped: Iterable[str] = ()
) -> dict[str, bytes]:
    """The text files of a data set that mention a renamed image, with the new names.

    Args:
        root: of the data set.
        renamed: old and new names of images.
        skipped: names of files that are left out.

    Returns:
        New bytes by the file's name.

    Raises:
        UnsegError: when a name means several images of which only some are renamed.
    """
    if not renamed:
        return {}
    left = set(skipped)
    files = [(path, name) for path, name in walk([root], ())]
    names = Names(name for path, name in files if path.suffix.lower() in IMAGE_SUFFIXES)
    changed = {}
    for path, name in files:
        if path.suffix.lower() not in TEXTS or name in left or path.stat().st_size > MAX_TEXT:
            continue
        try:
            before = path.read_bytes()
            text = before.decode("utf-8")
        except UnicodeDecodeError:
            continue
        after = rewrite_text(text, name, names, renamed).encode("utf-8")
        if after != before:
            changed[name] = after
    return changed


def rewrite_text(text: str, file: str, names: Names, renamed: Mapping[str, str]) -> str:
    """A text whose mentions of renamed images have their new suffix; see :func:`rewrite_mentions`.

    Args:
        text: content of a file.
        file: its name, relative to the data set.
        names: the images.
        renamed: old and new names of images.
    """
    folder = str(PurePosixPath(file).parent)

    def new(match: re.Match[str]) -> str:
        said = match.group(0)
        found = names.find(said, "" if folder == "." else folder)
        changed = [name for name in found if name in renamed]
        if not changed:
            return said
        if len(changed) < len(found):
            others = next(name for name in found if name not in renamed)
            raise UnsegError(
                f"{file} mentions {said}, which may be {changed[0]}, whose name changes, or "
                f"{others}, whose name does not: use --format same, or name the folder in the file"
            )
        old, fresh = PurePosixPath(changed[0]).suffix, PurePosixPath(renamed[changed[0]]).suffix
        return said[: -len(old)] + fresh

    return _NAME.sub(new, text)
