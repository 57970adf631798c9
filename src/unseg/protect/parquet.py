"""The manifest in Parquet: a row an image, for tools that read tables, and for large runs.

It says what the JSON lines say. Ranges and steps are floating-point here; those that are whole are
whole again when they are read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import write_atomically

#: Rows that are written, and compressed, together.
GROUP = 10_000
_TEXT = (
    "source", "output", "status", "error", "source_sha256", "output_sha256", "mode", "format",
    "mask_source", "mask_note", "mask_file", "mask_file_sha256", "mask", "mask_sha256", "target",
    "noise", "model", "model_sha256", "settings_sha256",
)  # fmt: skip
_NUMBERS = ("step", "foreground_share", "psnr", "ssim", "visibility_score", "seconds")
_WHOLE = ("manifest_format", "width", "height", "prompts")
_TRUTHS = ("location", "lossless", "within_budget")


def schema() -> Any:
    """Columns of the table, as pyarrow has them; the names are those of a record's fields.

    Raises:
        UnsegError: when pyarrow is not installed.
    """
    require("parquet", "a manifest in Parquet")
    import pyarrow as arrow

    pair = {
        "budget": ("foreground", "background"),
        "change": ("inside", "outside"),
        "survival": ("correlation", "energy"),
    }
    fields = [arrow.field(name, arrow.string()) for name in _TEXT]
    fields += [arrow.field(name, arrow.float64()) for name in _NUMBERS]
    fields += [arrow.field(name, arrow.int64()) for name in _WHOLE]
    fields += [arrow.field(name, arrow.bool_()) for name in _TRUTHS]
    fields += [
        arrow.field(name, arrow.struct([(part, arrow.float64()) for part in parts]))
        for name, parts in pair.items()
    ]
    fields.append(arrow.field("range", arrow.list_(arrow.float64())))
    fields += [arrow.field(name, arrow.list_(arrow.string())) for name in ("notes", "warnings")]
    fields.append(arrow.field("found", arrow.map_(arrow.string(), arrow.int64())))
    return arrow.schema(fields)


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a manifest, so that a reader sees the old one or the new.

    Args:
        path: of the file.
        rows: records as JSON has them; a group of them is held at a time.

    Raises:
        UnsegError: when it cannot be written, or pyarrow is not installed.
    """
    write_atomically(path, lambda temporary: _write(temporary, rows))


def _write(target: Path | io.BytesIO, rows: Iterable[dict[str, Any]]) -> None:
    columns = schema()
    import pyarrow as arrow
    import pyarrow.parquet

    left = iter(rows)
    with arrow.parquet.ParquetWriter(target, columns, compression="zstd") as writer:
        while group := list(islice(left, GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema=columns))


def table_bytes(rows: Iterable[dict[str, Any]]) -> bytes:
    """A manifest as bytes, for places that take no file.

    Raises:
        UnsegError: when pyarrow is not installed.
    """
    stream = io.BytesIO()
    _write(stream, rows)
    return stream.getvalue()


def read_table(path: Path | io.BytesIO) -> list[dict[str, Any]]:
    """Rows of a manifest, as JSON has them.

    Args:
        path: of the file, or its bytes.

    Raises:
        UnsegError: when it cannot be read, or pyarrow is not installed.
    """
    require("parquet", str(path))
    import pyarrow as arrow
    import pyarrow.parquet

    try:
        rows = arrow.parquet.read_table(path).to_pylist()
    except (OSError, arrow.ArrowException) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnsegError(
            f"{path} cannot be read ({first}): expected a manifest that unseg protect wrote"
        ) from error
    return [_as_json(row) for row in rows]


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    floating = "F" in (row.get("mode") or "")
    limits = row.get("range")
    if isinstance(limits, list) and not floating:
        row["range"] = [int(one) if one == int(one) else one for one in limits]
    step = row.get("step")
    if isinstance(step, float) and not floating and step.is_integer():
        row["step"] = int(step)
    row["found"] = dict(row.get("found") or ())
    return row
