"""Addresses that begin with s3://: spoken to a server on this machine that answers as S3 does."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import noise_stub
import unseg
from test_storage import files_of, mask, members, png, records_of, shard_at, uploaded
from unseg.errors import UnsegError
from unseg.progress import Update
from unseg.protect.manifest import RUN
from unseg.storage.lease import leased
from unseg.storage.stores import Address, store_of

HOST = "127.0.0.1"
LOCK = ".unseg-lock"
NAMES = ("0/a.png", "0/b.png", "1/c.png", "1/with blank, #, % and ü.png")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of moto's server, on a free port."""
    needed = "the tests of s3:// addresses need s3fs and moto[server] (extra dev)"
    pytest.importorskip("s3fs", reason=needed)
    found = pytest.importorskip("moto.server", reason=needed)
    running = found.ThreadedMotoServer(HOST, 0, verbose=False)
    running.start()
    yield f"http://{HOST}:{running.get_host_and_port()[1]}"
    running.stop()
    running._server.server_close()


@pytest.fixture(autouse=True)
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An empty bucket. Other places than the server are not asked for anything."""
    from s3fs import S3FileSystem

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"), "no_proxy": HOST,
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    asked = set()
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, only_here(getattr(socket.socket, name), asked))
    noise_stub.install(monkeypatch)
    S3FileSystem.clear_instance_cache()
    system = S3FileSystem()
    system.mkdir("bucket")
    yield "s3://bucket"
    system.rm("bucket", recursive=True)
    S3FileSystem.clear_instance_cache()
    assert asked == {HOST}


def only_here(genuine: Callable[..., Any], asked: set[str]) -> Callable[..., Any]:
    """A way to connect that leads to this machine alone, and writes down where it was to lead."""

    def connect(self: socket.socket, address: Any) -> Any:
        host = address[0] if self.family in (socket.AF_INET, socket.AF_INET6) else HOST
        asked.add(host)
        if host != HOST:
            raise OSError(101, f"Network is unreachable: {host}")
        return genuine(self, address)

    return connect


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photographs in two folders, with masks for three of them."""
    for i, name in enumerate(NAMES):
        for part, data in (("photos", png(i)), ("masks", mask(i))):
            path = tmp_path / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if part == "photos" or i != 1:
                path.write_bytes(data)
    return tmp_path / "photos"


def test_an_s3_address_gives_what_a_folder_gives(photos: Path, tmp_path: Path, bucket: str) -> None:
    local, masks = tmp_path / "out", tmp_path / "masks"
    wanted = unseg.protect_folder(photos, local, masks=masks).totals
    a, m = uploaded(photos, f"{bucket}/photos"), uploaded(masks, f"{bucket}/masks")
    before = store_of(a).marks()
    assert list(before) == sorted(NAMES)
    report = unseg.protect_folder(a, f"{bucket}/out", masks=m)
    assert report.out == f"{bucket}/out" and report.totals["mask_sources"] == wanted["mask_sources"]
    assert report.totals["protected"] == wanted["protected"] == 3
    assert files_of(f"{bucket}/out") == files_of(local)
    assert records_of(f"{bucket}/out") == records_of(local)
    assert unseg.verify_folder(f"{bucket}/out", a).ok
    assert unseg.verify_folder(f"{bucket}/out", photos).ok
    assert store_of(a).marks() == before
    assert store_of(f"{bucket}/out").hidden(".") == []
    # What was changed there is found out.
    store_of(f"{bucket}/out").put("0/a.png", png(9))
    assert not unseg.verify_folder(f"{bucket}/out", a).ok


def test_a_resumed_run_does_what_is_new_or_changed_and_nothing_else(
    photos: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, out = uploaded(photos, f"{bucket}/photos"), f"{bucket}/out"
    unseg.protect_folder(a, out)
    genuine, puts = Address.put, []

    def put(self: Address, name: str, data: bytes) -> None:
        puts.append(name)
        genuine(self, name, data)

    monkeypatch.setattr(Address, "put", put)
    report = unseg.protect_folder(a, out, existing="resume")
    assert report.totals["kept_from_earlier_run"] == 4
    assert puts and not [name for name in puts if name.endswith(".png")]
    genuine(store_of(a), "0/a.png", png(20))
    genuine(store_of(a), "0/new.png", png(21))
    store_of(out).remove("1/c.png")
    unseg.protect_folder(a, out, existing="resume")
    made = {name for name in puts if name.endswith(".png") and "masks" not in name}
    assert made == {"0/a.png", "0/new.png", "1/c.png"}
    assert unseg.verify_folder(out, a).ok


def test_a_second_run_at_the_same_time_is_refused(photos: Path, bucket: str) -> None:
    a, out = uploaded(photos, f"{bucket}/photos"), f"{bucket}/out"
    refused = []

    def meanwhile(update: Update) -> None:
        if not refused:
            with pytest.raises(UnsegError) as caught:
                unseg.protect_folder(a, out, existing="overwrite")
            refused.append(str(caught.value))

    assert unseg.protect_folder(a, out, progress=meanwhile).totals["protected"] == 4
    assert f"{out} is in use by another run (process {os.getpid()} on" in refused[0]
    assert not store_of(out).has(LOCK)
    assert unseg.verify_folder(out, a).ok


def test_the_lock_is_made_by_a_put_that_the_server_refuses_where_there_is_one(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    genuine, calls = S3FileSystem._call_s3, []

    async def call(self: Any, method: str, *more: Any, **options: Any) -> Any:
        calls.append((method, options.get("IfNoneMatch")))
        return await genuine(self, method, *more, **options)

    first = store_of(f"{bucket}/out")
    S3FileSystem.clear_instance_cache()
    second = store_of(f"{bucket}/out")
    assert first._system is not second._system
    monkeypatch.setattr(S3FileSystem, "_call_s3", call)
    assert first.create(LOCK, b"1") and not second.create(LOCK, b"2")
    # Nobody looks first, which would leave a moment for another.
    assert calls == [("put_object", "*")] * 2
    assert second.read(LOCK) == b"1"
    first.remove(LOCK)
    first.remove(LOCK)
    assert second.create(LOCK, b"3") and first.read(LOCK) == b"3"


def test_a_lock_is_renewed_and_a_dead_runs_is_taken(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unseg.storage.lease.SETTLE", 0.0)
    out = store_of(f"{bucket}/out")
    dead = {"token": "x", "pid": 2**22 + 1, "host": "elsewhere", "started": 1, "beat": 1.0}
    out.put(LOCK, json.dumps(dead).encode())
    with leased(out, LOCK) as lease:
        before = out.read(LOCK)
        lease.beat()
        lease.check()
        assert out.read(LOCK) != before and lease.ours()
    assert not out.has(LOCK)


def test_a_shard_goes_through(tmp_path: Path, bucket: str) -> None:
    content = {"a/0.jpg": png(0, kind="JPEG"), "a/0.seg.png": mask(0), "a/0.json": b'{"n": 0}',
               "a/1.jpg": png(1, kind="JPEG")}  # fmt: skip
    shard_at(tmp_path / "shards" / "00000.tar", content)
    unseg.protect_folder(tmp_path / "shards", tmp_path / "out")
    a, out = uploaded(tmp_path / "shards", f"{bucket}/shards"), f"{bucket}/out"
    assert unseg.protect_folder(a, out).totals["protected"] == 2
    assert files_of(out) == files_of(tmp_path / "out")
    assert list(members(out, "00000.tar")) == ["a/0.png", "a/0.seg.png", "a/0.json", "a/1.png"]
    assert unseg.verify_folder(out, a).ok
    unseg.protect_folder(f"{a}/00000.tar", f"{bucket}/one")
    assert members(f"{bucket}/one", "00000.tar") == members(out, "00000.tar")


def test_what_grew_after_it_was_listed_is_read_whole(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large objects are read in pieces, as many as the size asks for."""
    from s3fs import S3FileSystem

    store = store_of(f"{bucket}/photos")
    monkeypatch.setattr(store._system, "default_block_size", 1000)
    store.put("a.tar", b"a" * 2500)
    store._system.ls("bucket/photos", detail=True)
    S3FileSystem(skip_instance_cache=True).pipe_file("bucket/photos/a.tar", b"b" * 4500)
    assert store.read("a.tar") == b"b" * 4500


def test_folders_that_a_console_made_are_no_files(photos: Path, bucket: str) -> None:
    """Consoles keep an empty folder as an object of no bytes whose name ends in a slash."""
    a, out = uploaded(photos, f"{bucket}/photos"), store_of(f"{bucket}/out")
    for key in ("photos/", "photos/0/", "out/", "out/empty/"):
        out._system.call_s3("put_object", Bucket="bucket", Key=key, Body=b"")
    assert list(store_of(a).marks()) == sorted(NAMES) and out.marks() == {}
    assert unseg.protect_folder(a, out.place).totals["protected"] == 4
    assert unseg.verify_folder(out.place, a).ok and store_of(out.place).has(RUN)


def test_what_is_not_there_is_said_in_one_line(photos: Path, bucket: str) -> None:
    with pytest.raises(UnsegError, match="s3://nosuch/photos holds nothing"):
        unseg.protect_folder("s3://nosuch/photos", f"{bucket}/out")
    with pytest.raises(UnsegError, match=r"s3://nosuch/out/\S+ cannot be written \(.*bucket"):
        unseg.protect_folder(uploaded(photos, f"{bucket}/photos"), "s3://nosuch/out")
    with pytest.raises(UnsegError, match=r"s3://bucket/out/a\.png cannot be read \("):
        store_of(f"{bucket}/out").read("a.png")
