"""Images at addresses and in shards: the files of a run on this machine, and nothing lost."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

import unseg
from noise_stub import photo
from unseg.errors import UnsegError
from unseg.protect.manifest import MANIFEST, PARQUET, RUN
from unseg.protect.parts import is_mask, parts_in
from unseg.storage import stores
from unseg.storage.lease import Lease, leased
from unseg.storage.stores import Address, Folder, as_place, store_of
from unseg.storage.tars import members_of

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def memory() -> Iterator[Any]:
    """An empty store in memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def png(seed: int, size: int = 24, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo(size, size, seed=seed)).save(stream, kind)
    return stream.getvalue()


def mask(seed: int, size: int = 24) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo(size, size, seed=seed)[..., 0] > 140).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images in two folders, with masks for four of them."""
    for i in range(6):
        for part, data in (("photos", png(i)), ("masks", mask(i))):
            path = tmp_path / part / f"{i % 2}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if part == "photos" or i < 4:
                path.write_bytes(data)
    return tmp_path / "photos"


def uploaded(folder: Path, address: str) -> str:
    store = store_of(address)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    return address


def files_of(place: Any) -> dict[str, bytes]:
    """Images and masks of an output, without what tells of the run."""
    store = store_of(place)
    return {
        name: store.read(name) for name in store.marks()
        if not name.startswith(("unseg-run", "unseg-manifest", "unseg-records"))
    }  # fmt: skip


def records_of(place: Any) -> list[dict[str, Any]]:
    """Records of an output, without what differs by design: seconds, and the masks' identity."""
    lines = store_of(place).read(MANIFEST).decode().splitlines()
    return [{**json.loads(line), "seconds": 0, "settings_sha256": ""} for line in lines]


def shard_at(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 1_700_000_000
            archive.addfile(header, io.BytesIO(data))
    return path


def members(place: Any, name: str) -> dict[str, bytes | None]:
    return {one.name: one.data for one in members_of(store_of(place).read(name), name)}


def test_places_are_told_apart() -> None:
    assert as_place("s3://bucket/photos/") == "s3://bucket/photos"
    assert as_place("file:///tmp/a%20b") == Path("/tmp/a b")
    assert as_place("photos") == Path("photos") and as_place("C:\\photos") == Path("C:\\photos")
    assert isinstance(store_of("memory://a"), Address) and isinstance(store_of("a"), Folder)


def test_an_address_gives_the_files_and_records_of_a_folder(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    assert cli("protect", photos, "--masks", masks, "-o", tmp_path / "out")[0] == 0
    a, m = uploaded(photos, "memory://in/photos"), uploaded(masks, "memory://in/masks")
    code, text, err = cli("protect", a, "--masks", m, "-o", "memory://out", "--json")
    assert code == 0, err
    assert files_of("memory://out") == files_of(tmp_path / "out")
    assert records_of("memory://out") == records_of(tmp_path / "out")
    assert json.loads(text)["totals"]["images"] == 6
    # The two ends need not be of one kind; file:// is a folder like any other.
    assert cli("protect", a, "--masks", m, "-o", tmp_path / "down")[0] == 0
    assert files_of(tmp_path / "down") == files_of(tmp_path / "out")
    assert cli("protect", f"file://{photos}", "--masks", f"file://{masks}", "-o",
               f"file://{tmp_path}/local")[0] == 0  # fmt: skip
    assert files_of(tmp_path / "local") == files_of(tmp_path / "out")
    for out, originals in (("memory://out", a), ("memory://out", photos), (tmp_path / "down", a)):
        code, _, err = cli("verify", out, "--originals", originals)
        assert code == 0, err


def test_nothing_of_the_inputs_is_touched(
    cli: Cli, photos: Path, tmp_path: Path, memory: Any
) -> None:
    a = uploaded(photos, "memory://in")
    before = dict(store_of(a).marks())
    assert cli("protect", a, "-o", "memory://out")[0] == 0
    assert store_of(a).marks() == before
    assert {path.split("/")[1] for path in memory.store} == {"in", "out"}


def test_a_run_that_stops_is_resumed_and_redoes_only_what_is_missing(
    cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = uploaded(photos, "memory://in")
    assert cli("protect", a, "-o", "memory://whole")[0] == 0
    monkeypatch.setattr("unseg.protect.anywhere.TOGETHER", 2)
    genuine, puts = Address.put, []

    def put(self: Address, name: str, data: bytes) -> None:
        puts.append(name)
        if len(puts) == 9:  # in the second part, between two files
            raise UnsegError("the network is gone")
        genuine(self, name, data)

    monkeypatch.setattr(Address, "put", put)
    code, _, err = cli("protect", a, "-o", "memory://out")
    assert code == 2 and "the network is gone" in err
    assert cli("verify", "memory://out")[0] == 1  # it did not finish
    puts[:] = [""] * 9
    code, text, _ = cli("protect", a, "-o", "memory://out", "--resume", "--json")
    assert code == 0 and json.loads(text)["totals"]["kept_from_earlier_run"] == 2
    assert not {"0/0.png", "0/2.png"} & set(puts)
    assert files_of("memory://out") == files_of("memory://whole")
    assert records_of("memory://out") == records_of("memory://whole")
    # Once more: nothing is left to do, then one image is new, one changed, and one result is lost.
    puts[:] = [""] * 9
    assert cli("protect", a, "-o", "memory://out", "--resume")[0] == 0
    assert not [name for name in puts if name.endswith(".png")]
    genuine(store_of(a), "0/new.png", png(40))
    genuine(store_of(a), "1/1.png", png(41, 28))
    store_of("memory://out").remove("unseg-masks/0/4.png")
    assert cli("protect", a, "-o", "memory://out", "--resume")[0] == 0
    again = {name for name in puts if name.endswith(".png") and "masks" not in name}
    assert again == {"0/new.png", "1/1.png", "0/4.png"}
    assert cli("verify", "memory://out", "--originals", a)[0] == 0


def test_an_output_is_not_mixed_with_what_is_there(cli: Cli, photos: Path) -> None:
    a = uploaded(photos, "memory://in")
    store_of("memory://taken").put("a.txt", b"mine")
    code, _, err = cli("protect", a, "-o", "memory://taken")
    assert code == 2 and "holds 1 files that no such run wrote (first: a.txt)" in err
    code, _, err = cli("protect", a, "-o", "memory://in/inside")
    assert code == 2 and "overlap" in err
    assert cli("protect", a, "-o", "memory://out")[0] == 0
    code, _, err = cli("protect", a, "-o", "memory://out")
    assert code == 2 and "holds an earlier run" in err
    code, _, err = cli("protect", "memory://out", "-o", "memory://twice")
    assert code == 2 and "--again" in err
    assert cli("protect", a, "-o", "memory://out", "--overwrite", "--eps", "4")[0] == 0
    assert records_of("memory://out")[0]["budget"]["foreground"] == 4


def test_another_key_does_not_go_on(cli: Cli, photos: Path, tmp_path: Path) -> None:
    a = uploaded(photos, "memory://in")
    assert cli("protect", a, "-o", "memory://out")[0] == 0
    code, _, err = cli(
        "protect", a, "-o", "memory://out", "--resume", "--key", tmp_path / "other.key"
    )
    assert code == 2
    assert "no key" in err or "another key" in err or "does not exist" in err


def test_parts_of_a_run_side_by_side_and_joined(cli: Cli, photos: Path, monkeypatch: Any) -> None:
    a = uploaded(photos, "memory://in")
    assert cli("protect", a, "-o", "memory://whole")[0] == 0
    monkeypatch.setattr("unseg.protect.anywhere.TOGETHER", 1)
    for number in (2, 1, 3):
        assert cli("protect", a, "-o", "memory://out", "--resume", "--shard", f"{number}/3")[0] == 0
    assert not store_of("memory://out").has(MANIFEST)
    code, _, err = cli("protect", a, "-o", "memory://out", "--resume", "--json")
    assert code == 0, err
    assert records_of("memory://out") == records_of("memory://whole")
    assert [n for n in store_of("memory://out").marks() if n.startswith("unseg-run")] == [RUN]


def test_two_runs_on_one_address_exclude_each_other(cli: Cli, photos: Path) -> None:
    a, out = uploaded(photos, "memory://in"), store_of("memory://out")
    with leased(out, ".unseg-lock"):
        code, _, err = cli("protect", a, "-o", "memory://out")
        assert code == 2
        assert f"memory://out is in use by another run (process {os.getpid()} on" in err
        code, _, err = cli("protect", a, "-o", "memory://out", "--shard", "1/2")
        assert code == 2 and "in use by another run" in err
    assert not out.has(".unseg-lock")
    assert cli("protect", a, "-o", "memory://out")[0] == 0
    assert not out.has(".unseg-lock")


def test_a_dead_runs_lease_is_taken_and_a_lost_one_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unseg.storage.lease.SETTLE", 0.0)
    out = store_of("memory://out")
    dead = {"token": "x", "pid": 2**22 + 1, "host": "elsewhere", "started": 1, "beat": 1.0}
    out.put(".unseg-lock", json.dumps(dead).encode())
    with leased(out, ".unseg-lock") as lease:
        lease.beat()
        lease.check()
        with (
            pytest.raises(UnsegError, match="in use by another run"),
            leased(out, ".unseg-lock"),
        ):
            pass
        out.put(".unseg-lock", Lease(out, ".unseg-lock").content())
        lease.beat()
        with pytest.raises(UnsegError, match="taken over by another run"):
            lease.check()
    assert out.has(".unseg-lock")  # the other's


def test_of_two_that_create_a_file_one_does(tmp_path: Path) -> None:
    for store in (store_of("memory://out"), store_of(tmp_path)):
        assert store.create("a", b"1") and not store.create("a", b"2")
        assert store.read("a") == b"1"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (FileExistsError("there"), None),
        (OSError(22, "a pre-condition did not hold"), Exception("(PreconditionFailed) on put")),
        (OSError(5, "An error occurred (ConditionalRequestConflict)"), None),
    ],
)
def test_that_a_file_is_there_is_known_from_what_a_store_says(
    monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None
) -> None:
    store = Address("memory://out")

    def refuse(self: Any, path: str, data: bytes, mode: str) -> None:
        assert mode == "create"
        raise error from cause

    monkeypatch.setattr(type(store._system), "pipe_file", refuse)
    assert not store.create("a", b"1")
    error, cause = OSError(13, "Forbidden"), Exception("(AccessDenied) on put")
    with pytest.raises(UnsegError, match=r"out/a cannot be written \(.*Forbidden"):
        store.create("a", b"1")


def test_a_lock_whose_answer_was_lost_on_the_way_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store wrote it and was asked again, so that it says that one is there: our own."""
    out, genuine = store_of("memory://out"), Address.create

    def twice(self: Address, name: str, data: bytes) -> bool:
        genuine(self, name, data)
        return genuine(self, name, data)

    monkeypatch.setattr(Address, "create", twice)
    with leased(out, ".unseg-lock") as lease:
        assert lease.ours()
        with pytest.raises(UnsegError, match="in use"), leased(out, ".unseg-lock"):
            pass
    assert not out.has(".unseg-lock")


def test_stores_that_write_in_pieces_get_a_name_of_their_own_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an object does not appear in one step, a file is written beside it and moved."""
    monkeypatch.setattr(stores, "_ATOMIC", set())
    store = Address("memory://place")
    system, seen = store._system, []
    genuine = type(system).pipe_file

    def pipe(self: Any, path: str, value: bytes, **options: Any) -> None:
        seen.append(path)
        genuine(self, path, value, **options)
        if b"broken" in value:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(system), "pipe_file", pipe)
    store.put("a/b.png", b"first")
    assert "/a/.unseg-" in seen[0] and store.read("a/b.png") == b"first"
    with pytest.raises(UnsegError, match=r"a/b\.png cannot be written \(.*No space left"):
        store.put("a/b.png", b"broken")
    assert store.read("a/b.png") == b"first" and not store.hidden(".") and len(store.marks()) == 1
    assert not [path for path in system.store if ".unseg-" in path]


def test_what_addresses_cannot_do_is_said(cli: Cli, photos: Path, tmp_path: Path) -> None:
    a = uploaded(photos, "memory://in")
    for options, said in (
        (("--boxes", "b.json"), "--boxes is for images in folders of this machine"),
        (("--sheet", "a.html"), "--sheet is for images in folders"),
        (("--target", "class", "--background", "none"), "--silent auto looks at all images"),
        (("--masks", "memory://none"), "no mask fits any of the 6 images"),
    ):
        code, _, err = cli("protect", a, "-o", "memory://out", *options)
        assert code == 2 and said in err, err
    code, _, err = cli("protect", "memory://nothing", "-o", "memory://out")
    assert code == 2 and "memory://nothing holds nothing" in err
    code, _, err = cli("protect", "nosuch://bucket", "-o", "memory://out")
    assert code == 2 and "nosuch://bucket cannot be used" in err
    with pytest.raises(UnsegError, match="leads out of its place"):
        parts_in([{"../a.png": ""}], None, 8)


def test_a_package_that_an_address_needs_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(address: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    code, _, err = cli("protect", "gs://bucket/photos", "-o", tmp_path / "out")
    assert code == 2 and "gs://bucket/photos needs a package (Please install gcsfs to" in err
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    code, _, err = cli("protect", "s3://bucket/photos", "-o", tmp_path / "out")
    assert code == 2 and err.strip().count("\n") == 0
    assert "s3://bucket/photos needs s3fs, which is not installed: pip install 'unseg[s3]'" in err


def test_a_broken_image_among_good_ones_is_one_record(cli: Cli, photos: Path) -> None:
    a = uploaded(photos, "memory://in")
    store_of(a).put("1/1.png", png(1)[:60])
    store_of(a).put("1/3.png", b"")
    code, text, _ = cli("protect", a, "-o", "memory://out", "--json")
    errors = json.loads(text)["errors"]
    assert code == 1 and [one["source"] for one in errors] == ["1/1.png", "1/3.png"]
    assert "empty" in errors[1]["error"]
    store_of(a).put("1/1.png", png(1))
    store_of(a).put("1/3.png", png(3))
    assert cli("protect", a, "-o", "memory://out", "--resume")[0] == 0
    assert cli("verify", "memory://out", "--originals", a)[0] == 0


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards: with masks, text, a sample without an image, and one whose image is broken."""
    first = {
        "a/000.jpg": png(0, kind="JPEG"), "a/000.seg.png": mask(0), "a/000.json": b'{"n": 0}',
        "a/001.jpg": png(1, kind="JPEG"), "a/001.txt": b"one", "a/002.txt": b"no image",
    }  # fmt: skip
    second = {"010.png": png(10), "010.mask.png": mask(10), "011.left.png": png(11),
              "011.right.png": png(12), "011.cls": b"3"}  # fmt: skip
    shard_at(tmp_path / "shards" / "00000.tar", first)
    shard_at(tmp_path / "shards" / "more" / "00001.tar", second)
    return tmp_path / "shards"


def test_shards_come_out_as_shards_with_the_same_keys(
    cli: Cli, shards: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, text, err = cli("protect", shards, "-o", out, "--json")
    assert code == 0, err
    totals = json.loads(text)["totals"]
    assert (totals["images"], totals["errors"]) == (5, 0) and totals["mask_sources"]["file"] == 2
    before, after = members(shards, "00000.tar"), members(out, "00000.tar")
    assert list(after) == ["a/000.png", "a/000.seg.png", "a/000.json", "a/001.png", "a/001.txt",
                           "a/002.txt"]  # fmt: skip
    for name in ("a/000.seg.png", "a/000.json", "a/001.txt", "a/002.txt"):
        assert after[name] == before[name]
    with tarfile.open(out / "00000.tar") as archive:
        assert {one.mtime for one in archive} == {1_700_000_000}
    assert set(members(out, "more/00001.tar")) == {
        "010.png", "010.mask.png", "011.left.png", "011.right.png", "011.cls"
    }  # fmt: skip
    # The image is the one that a folder would hold.
    for name in ("a/000.jpg", "a/000.seg.png"):
        place = tmp_path / ("m" if "seg" in name else "p") / name
        place.parent.mkdir(parents=True)
        data = before[name]
        assert data is not None
        place.write_bytes(data)
    assert cli("protect", tmp_path / "p", "--masks", tmp_path / "m", "-o", tmp_path / "q")[0] == 0
    assert (tmp_path / "q/a/000.png").read_bytes() == after["a/000.png"]
    assert (
        members(out, "unseg-masks/00000.tar")["a/000.png"]
        == (tmp_path / "q/unseg-masks/a/000.png").read_bytes()
    )
    assert cli("verify", out, "--originals", shards)[0] == 0


def test_shards_at_an_address_and_one_alone(cli: Cli, shards: Path, tmp_path: Path) -> None:
    a = uploaded(shards, "memory://in")
    assert cli("protect", shards, "-o", tmp_path / "out")[0] == 0
    assert cli("protect", a, "-o", "memory://out", "--manifest", "parquet")[0] == 0
    assert files_of("memory://out") == files_of(tmp_path / "out")
    assert store_of("memory://out").has(PARQUET)
    store_of("memory://out").remove(MANIFEST)
    assert cli("verify", "memory://out", "--originals", a)[0] == 0
    code, _, err = cli("protect", f"{a}/00000.tar", "-o", "memory://one")
    assert code == 0, err
    assert members("memory://one", "00000.tar") == members("memory://out", "00000.tar")


def test_a_shard_keeps_its_format_and_its_other_samples_when_an_image_fails(
    cli: Cli, tmp_path: Path
) -> None:
    content = {"0.jpg": png(0, kind="JPEG"), "0.txt": b"0", "1.jpg": b"no image", "1.txt": b"1"}
    shard_at(tmp_path / "in" / "a.tar", content)
    code, text, _ = cli("protect", tmp_path / "in", "-o", tmp_path / "out", "--format", "same",
                        "--json")  # fmt: skip
    assert code == 1 and json.loads(text)["errors"][0]["source"] == "a.tar/1.jpg"
    assert list(members(tmp_path / "out", "a.tar")) == ["0.jpg", "0.txt", "1.txt"]
    code, text, _ = cli("protect", tmp_path / "in", "-o", tmp_path / "out", "--format", "same",
                        "--resume", "--json")  # fmt: skip
    assert json.loads(text)["totals"]["kept_from_earlier_run"] == 2  # it would fail again


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no tar at all" * 99, "cannot be read as a shard"),
        ({"../0.png": b"x"}, "leads out of it"),
        ({"/etc/0.png": b"x"}, "leads out of it"),
    ],
)
def test_hostile_shards_are_errors_of_one_line(
    cli: Cli, tmp_path: Path, content: Any, said: str
) -> None:
    shard_at(tmp_path / "in" / "good.tar", {"0.png": png(0)})
    bad = tmp_path / "in" / "bad.tar"
    if isinstance(content, bytes):
        bad.write_bytes(content)
    else:
        shard_at(bad, content)
    code, text, err = cli("protect", tmp_path / "in", "-o", tmp_path / "out", "--json")
    [error] = json.loads(text)["errors"]
    assert code == 1 and said in error["error"] and "\n" not in error["error"]
    assert "Traceback" not in err
    assert (tmp_path / "out" / "good.tar").exists() and not (tmp_path / "out" / "bad.tar").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_shard_that_was_changed_is_found_out(cli: Cli, shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli("protect", shards, "-o", out)[0] == 0
    content = members(out, "00000.tar")
    content["a/001.png"] = png(50)
    shard_at(out / "00000.tar", {name: data or b"" for name, data in content.items()})
    shard_at(out / "extra.tar", {"9.png": png(9)})
    code, text, _ = cli("verify", out, "--json")
    problems = {one["file"]: one["text"] for one in json.loads(text)["problems"]}
    assert code == 1 and set(problems) == {"00000.tar/a/001.png", "extra.tar"}
    (out / "00000.tar").unlink()
    code, text, _ = cli("verify", out, "--json")
    assert code == 1 and "missing" in json.loads(text)["problems"][0]["text"]


def test_a_folder_of_photographs_with_a_tar_in_it_is_a_folder(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    shard_at(photos / "backup.tar", {"0.png": png(0)})
    assert cli("protect", photos, "-o", tmp_path / "out")[0] == 0
    run = json.loads((tmp_path / "out" / RUN).read_text())
    assert run["ignored"] == ["backup.tar"] and not (tmp_path / "out" / "backup.tar").exists()


def test_the_library_takes_addresses(cli: Cli, photos: Path) -> None:
    a = uploaded(photos, "memory://in")
    report = unseg.protect_folder(a, "memory://out")
    assert report.out == "memory://out" and report.totals["protected"] == 6
    assert unseg.verify_folder("memory://out", a).ok


def test_masks_are_known_by_their_ending() -> None:
    names = ["0.jpg", "0.mask.png", "0.seg.png", "0.left.png", "mask.png", "a.b/0.png"]
    assert [name for name in names if is_mask(name)] == ["0.mask.png", "0.seg.png"]
    assert np.array([is_mask("0.SEG.PNG")]).all()
