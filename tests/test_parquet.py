"""The manifest in Parquet says what the JSON lines say, to us and to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo
from unseg.errors import UnsegError
from unseg.protect import parquet as tables
from unseg.protect.manifest import MANIFEST, PARQUET, RUN, Manifest, Record

arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def out(cli: Cli, tmp_path: Path) -> Path:
    """A run over images of 8 and 16 bits, one with a mask without foreground, and a broken one."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(3):
        Image.fromarray(photo(24, 24, seed=i)).save(tmp_path / "photos" / f"{i}.png")
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(tmp_path / "masks" / "2.png")
    deep = photo(24, 24, seed=5)[..., 0].astype(np.uint16) * 16
    Image.fromarray(deep).save(tmp_path / "photos" / "deep.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"no image")
    line = ["protect", tmp_path / "photos", "--masks", tmp_path / "masks", "-o", tmp_path / "out"]
    assert cli(*line, "--manifest", "parquet")[0] == 1
    return tmp_path / "out"


def test_the_columns_are_a_records_fields() -> None:
    assert set(tables.schema().names) == set(Record.model_fields)


def test_the_table_gives_the_same_records(out: Path) -> None:
    lines = Manifest(out).read()
    (out / MANIFEST).unlink()
    assert Manifest(out).read() == lines and len(lines[0]) == 5
    again = [json.dumps(record.model_dump()) for record in Manifest(out).read()[0]]
    assert again == [json.dumps(record.model_dump()) for record in lines[0]]


def test_other_programs_read_the_table(out: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(out / PARQUET)
    records = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]
    assert list(frame["source"]) == [one["source"] for one in records]
    assert list(frame["status"]).count("error") == 1
    good = frame[frame["status"] == "protected"]
    assert list(good["change"].map(lambda one: one["inside"])) == [
        one["change"]["inside"] for one in records if one["status"] == "protected"
    ]
    assert frame["foreground_share"].notna().sum() == 4


def test_verify_reads_the_table_where_the_lines_are_not_there(
    cli: Cli, out: Path, tmp_path: Path
) -> None:
    assert cli("verify", out, "--originals", tmp_path / "photos")[0] == 0
    (out / MANIFEST).unlink()
    code, text, _ = cli("verify", out, "--originals", tmp_path / "photos", "--json")
    assert code == 0 and json.loads(text)["checked"] == 4
    (out / "1.png").write_bytes((out / "0.png").read_bytes())
    assert cli("verify", out)[0] == 1


def test_a_table_that_was_changed_is_found_out(cli: Cli, out: Path) -> None:
    rows = tables.read_table(out / PARQUET)
    rows[0]["psnr"] = 99.0
    tables.write_table(out / PARQUET, rows)
    code, text, _ = cli("verify", out, "--json")
    [problem] = json.loads(text)["problems"]
    assert code == 1 and problem["file"] == PARQUET and RUN in problem["text"]
    (out / PARQUET).write_bytes(b"PAR1 not")
    (out / MANIFEST).unlink()
    code, _, err = cli("verify", out)
    assert code == 2 and "cannot be read" in err


def test_a_run_goes_on_from_the_table_and_an_old_table_does_not_stay(
    cli: Cli, out: Path, tmp_path: Path
) -> None:
    (out / MANIFEST).unlink()
    line = ["protect", tmp_path / "photos", "--masks", tmp_path / "masks", "-o", out]
    code, _, err = cli(*line)
    assert code == 2 and "holds an earlier run" in err
    _, text, _ = cli(*line, "--resume", "--json")
    assert json.loads(text)["totals"]["kept_from_earlier_run"] == 4
    assert (out / MANIFEST).exists() and not (out / PARQUET).exists()


def test_many_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP", 10)
    budget = {"foreground": 8.0, "background": 2.0}
    rows: list[dict[str, Any]] = [
        Record(
            source=f"{i}.jpg", output=f"{i}.png", status="protected", model="m", model_sha256="0",
            budget=budget, found={"dog": i}, range=(0, 255) if i % 2 else (0.0, 0.5),
            mode="RGB8" if i % 2 else "RGBF32",
        ).model_dump()
        for i in range(35)
    ]  # fmt: skip
    tables.write_table(tmp_path / "a.parquet", iter(rows))

    assert arrow.parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 4
    read = [
        Record.model_validate(row).model_dump() for row in tables.read_table(tmp_path / "a.parquet")
    ]
    assert json.dumps(read) == json.dumps(rows)


def test_a_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    with pytest.raises(UnsegError, match=r"needs pyarrow.*pip install 'unseg\[parquet\]'"):
        tables.write_table(tmp_path / "a.parquet", [])
