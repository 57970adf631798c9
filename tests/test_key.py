"""The owner's key: its numbers, its file, where it is looked for, and that no output tells it."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dataset_layouts
import noise_stub
import unseg
from noise_stub import BatchSource, photo
from unseg import key as keys
from unseg.errors import UnsegError
from unseg.key import VARIABLE, Key, OwnerKey, key_file, owner_key, read_key, write_key
from unseg.models import loaded
from unseg.models.loaded import Models
from unseg.protect import folder as folders
from unseg.protect.protector import Protector

Cli = Callable[..., tuple[int, str, str]]

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has no key yet."""
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    noise_stub.install(monkeypatch)
    (tmp_path / "photos").mkdir()
    for i in range(2):
        Image.fromarray(photo(seed=i)).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


# Numbers


def test_numbers_follow_from_key_and_labels_alone() -> None:
    key = Key.of_text("one")
    # Written down, for published images must come out the same with every later version.
    assert key.uniform("phase", 3) == 0.6753046187725946
    assert key.uniforms(3, "phase", 3)[:1] == [key.uniform("phase", 3)]
    others = [Key.of_text("two").uniform("phase", 3), key.uniform("phase", "30"),
              key.uniform("phase"), *key.uniforms(4, "phase", 3)[1:]]  # fmt: skip
    assert len({key.uniform("phase", 3), *others}) == 7
    assert key.uniform("phase", 3) == key.uniform("phase", "3")
    assert Key.generate() != Key.generate()


def test_numbers_are_spread_evenly_and_do_not_follow_each_other() -> None:
    key = Key.of_text("spread")
    alone = np.array([key.uniform("phase", i) for i in range(4000)])
    stream = np.array(key.uniforms(4000, "hue"))
    for drawn in (alone, stream):
        assert drawn.min() >= 0 and drawn.max() < 1
        counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
        # chi squared of 19 degrees is above 43.8 once in a thousand
        assert ((counts - 200) ** 2 / 200).sum() < 43.8
        assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.06
    assert abs(np.corrcoef(alone, stream)[0, 1]) < 0.06


@pytest.mark.parametrize("labels", [(), ("a/b",), ("\0fingerprint",)])
def test_labels_that_could_mean_two_things_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="without a slash"):
        Key.of_text("a").uniform(*labels)


def test_nothing_shows_the_secret() -> None:
    key = Key.of_text("shown")
    owned = OwnerKey(key, "a test")
    settings = unseg.Settings(key=owned)
    shown = "".join(
        [repr(key), str(key), f"{key}", repr(owned), repr(settings), json.dumps(owned.describe()),
         json.dumps(settings.describe())]
    )  # fmt: skip
    assert key.secret.hex() not in shown and repr(key.secret)[2:20] not in shown
    with pytest.raises(ValueError) as told:
        Key(b"too short a secret")
    assert "too short" not in str(told.value)
    assert pickle.loads(pickle.dumps(settings)).key == owned  # noqa: S301  # for worker processes


def test_fingerprints_tell_keys_apart_and_cannot_be_linked() -> None:
    key = Key.of_text("one")
    first, second = OwnerKey(key, "a"), OwnerKey(key, "a")
    assert first.salt != second.salt
    assert first.describe()["fingerprint"] != second.describe()["fingerprint"]
    assert first.is_of(second.describe()) and second.is_of(first.describe())
    assert not OwnerKey(Key.of_text("two"), "a").is_of(first.describe())
    for damaged in ({}, {"salt": "xyz", "fingerprint": ""}, {"salt": None, "fingerprint": 3}):
        assert not first.is_of(damaged)  # type: ignore[arg-type]


# The file


def test_a_key_comes_back_from_its_file(tmp_path: Path) -> None:
    key = Key.generate()
    write_key(tmp_path / "key", key)
    assert (tmp_path / "key").read_text() == f"unseg-key-1 {key.secret.hex()}\n"
    assert read_key(tmp_path / "key") == key
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "key", Key.generate())
    assert read_key(tmp_path / "key") == key
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_where_files_have_one_name_only_a_key_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refused)
    key = Key.generate()
    write_key(tmp_path / "key", key)
    assert read_key(tmp_path / "key") == key
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "key", Key.generate())
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@POSIX
def test_only_its_owner_may_read_a_key(home: Path) -> None:
    before = os.umask(0)
    try:
        found = owner_key()
    finally:
        os.umask(before)
    assert found.made and found.path == home / "config" / "unseg" / "key"
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(found.path.parent.stat().st_mode) == 0o700
    found.path.chmod(0o640)
    with pytest.raises(UnsegError, match=r"may be read by others \(mode 0640\): run chmod 600 "):
        owner_key()
    found.path.chmod(0o400)
    assert owner_key().key == found.key


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: expected one line"),
        (b"unseg-key-1 " + b"ab" * 31, "is damaged"),
        (b"unseg-key-1 " + b"zz" * 32, "is damaged"),
        (b"\xff\xfe\0", "is damaged"),
        (b"ab" * 32, "is damaged"),
        (b"unseg-key-2 " + b"ab" * 32, "of a newer format"),
    ],
)
def test_a_damaged_file_is_one_line_that_does_not_tell_it(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UnsegError, match=message) as told:
        read_key(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    assert "abab" not in str(told.value) and "zzzz" not in str(told.value)


RACE = """
import os, sys, time
from pathlib import Path
from unseg.key import owner_key
while time.time() < float(sys.argv[2]):
    pass
print(owner_key(Path(sys.argv[1])).key.secret.hex())
"""


NO_LINKS = """
def link(*names):
    raise PermissionError
os.link = link
"""


@pytest.mark.parametrize("links", [True, False])
def test_of_two_processes_that_make_a_key_both_get_the_same(tmp_path: Path, links: bool) -> None:
    start = time.time() + 1.0
    code = RACE if links else f"import os{NO_LINKS}{RACE}"
    line = [sys.executable, "-c", code, str(tmp_path / "key"), str(start)]
    running = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {one.communicate(timeout=60)[0] for one in running}
    assert found == {read_key(tmp_path / "key").secret.hex() + "\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


# Where it is looked for


def test_the_option_comes_first_then_the_variable_then_the_own_file(home: Path) -> None:
    own = owner_key()
    assert own.made and own.source == "your own key file unseg/key"
    again = owner_key()
    assert not again.made and again.key == own.key

    other, third = Key.generate(), Key.generate()
    write_key(home / "other.key", other)
    environ = dict(os.environ)
    by_path = owner_key(None, {**environ, VARIABLE: str(home / "other.key")})
    assert by_path.key == other and by_path.source.endswith(f"/other.key ({VARIABLE})")
    by_digits = owner_key(None, {**environ, VARIABLE: third.secret.hex().upper()})
    assert by_digits.key == third and by_digits.source == f"the variable {VARIABLE}"
    assert owner_key(None, {**environ, VARIABLE: " "}).key == own.key

    named = owner_key(home / "other.key", {**environ, VARIABLE: third.secret.hex()})
    assert named.key == other and named.path == home / "other.key" and not named.made
    made = owner_key(home / "new.key", environ)
    assert made.made and read_key(home / "new.key") == made.key
    assert owner_key(third, environ).key == third


def test_no_more_than_the_end_of_a_path_is_told(home: Path) -> None:
    assert str(home) not in json.dumps(owner_key().describe())


@pytest.mark.parametrize(
    ("system", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/a"}, "/home/a/.config/unseg/key"),
        ("linux", {"HOME": "/home/a", "XDG_CONFIG_HOME": "/x"}, "/x/unseg/key"),
        # The standard says: what is not absolute is to be ignored.
        ("linux", {"HOME": "/home/a", "XDG_CONFIG_HOME": "x"}, "/home/a/.config/unseg/key"),
        ("darwin", {"HOME": "/Users/a"}, "/Users/a/Library/Application Support/unseg/key"),
        ("win32", {"APPDATA": "/Users/a/Roaming"}, "/Users/a/Roaming/unseg/key"),
    ],
)
@POSIX
def test_every_system_has_its_place(
    monkeypatch: pytest.MonkeyPatch, system: str, environ: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert key_file(environ) == Path(expected)


def test_what_the_variable_says_must_be_there_and_is_not_repeated(home: Path) -> None:
    digits = "ab" * 31  # a secret that lost its end
    with pytest.raises(UnsegError, match="neither an existing file nor 64") as told:
        owner_key(None, {VARIABLE: digits})
    assert digits not in str(told.value)
    with pytest.raises(UnsegError, match="not the digits of a key") as told:
        owner_key(Path("cd" * 32))
    assert "cdcd" not in str(told.value) and list(home.iterdir()) == []


@POSIX
def test_a_key_that_cannot_be_made_is_one_line(home: Path) -> None:
    (home / "config").write_text("a file, no folder")
    with pytest.raises(UnsegError, match=r"cannot be made .*: give a file with --key, or"):
        owner_key()
    with pytest.raises(UnsegError, match=r"cannot be made \(No such file"):
        owner_key(home / "nosuch" / "key")
    with pytest.raises(UnsegError, match="does not exist: put a copy of it back"):
        owner_key(home / "other", make=False)


def test_a_half_written_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems without links, where the name is there before the line."""
    path, key, waits = tmp_path / "key", Key.generate(), []
    path.touch(mode=0o600)

    def written(seconds: float) -> None:
        waits.append(seconds)
        path.write_text(f"{keys.KEY_FORMAT} {key.secret.hex()}\n")

    def taken(path: Path, key: Key) -> None:
        raise FileExistsError

    monkeypatch.setattr(keys, "write_key", taken)
    monkeypatch.setattr(keys, "_exists", lambda path: False)
    monkeypatch.setattr(keys.time, "sleep", written)
    assert owner_key(path).key == key and len(waits) == 1


# Runs


def written(out: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file())


def never_in(out: Path, key: Key) -> bool:
    everything, digits = written(out), key.secret.hex().encode()
    return not any(one in everything for one in (key.secret, digits, digits.upper()))


def test_a_run_makes_a_key_uses_it_and_never_writes_it(
    home: Path, photos: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = BatchSource()
    source.key = None  # type: ignore[attr-defined]
    monkeypatch.setattr(loaded, "load_generator", lambda *which: source)
    out = home / "out"
    code, text, _ = cli("protect", photos, "-o", out)
    key = read_key(home / "config" / "unseg" / "key")
    assert code == 0 and "made your key, " in text and "unseg/key" in text
    assert source.key == key and never_in(out, key)  # type: ignore[attr-defined]
    assert key.secret.hex() not in text
    described = json.loads((out / "unseg-run.json").read_text())["key"]
    assert described["source"] == "your own key file unseg/key"
    assert described["fingerprint"] == key.fingerprint(bytes.fromhex(described["salt"]))
    code, text, _ = cli("protect", photos, "-o", out, "--resume")
    assert code == 0 and "made your key" not in text

    code, text, _ = cli("protect", photos, "-o", home / "json", "--key", home / "b.key", "--json")
    other = read_key(home / "b.key")
    assert code == 0 and source.key == other  # type: ignore[attr-defined]
    assert never_in(home / "json", other) and other.secret.hex() not in text
    assert json.loads(text)["key"]["source"].endswith("/b.key")


def test_a_single_file_has_no_key_in_it_or_beside_it(home: Path, photos: Path, cli: Cli) -> None:
    target = home / "single" / "a.png"
    assert cli("protect", photos / "0.png", "-o", target)[0] == 0
    key = read_key(home / "config" / "unseg" / "key")
    assert len(list(target.parent.iterdir())) == 2 and never_in(target.parent, key)
    record = json.loads((target.parent / "a.png.unseg.json").read_text())
    assert record["key"]["fingerprint"] == key.fingerprint(bytes.fromhex(record["key"]["salt"]))


def test_a_run_goes_on_with_its_own_key_only(home: Path, photos: Path, cli: Cli) -> None:
    out, first = home / "out", home / "first.key"
    assert cli("protect", photos, "-o", out, "--key", first)[0] == 0
    before = written(out)
    line = ("protect", photos, "-o", out, "--resume")
    # A key that does not exist cannot be the one, and is not made.
    code, _, err = cli(*line)
    assert code == 2 and "does not exist" in err and not (home / "config" / "unseg").exists()
    code, _, err = cli(*line, "--key", home / "typo.key")
    assert code == 2 and not (home / "typo.key").exists()
    write_key(home / "second.key", Key.generate())
    code, _, err = cli(*line, "--key", home / "second.key")
    assert code == 2 and len(err.strip().splitlines()) == 1
    for part in ("was begun with another key", f"{home.name}/first.key", f"{home.name}/second.key",
                 "--overwrite"):  # fmt: skip
        assert part in err
    assert written(out) == before
    code, text, _ = cli(*line, "--key", first, "--json")
    assert code == 0 and json.loads(text)["totals"]["kept_from_earlier_run"] == 2
    # Verifying needs no key.
    first.unlink()
    assert cli("verify", out, "--originals", photos)[0] == 0


def test_images_of_another_key_that_were_left_alone_do_not_count_as_done(
    home: Path, photos: Path
) -> None:
    out, old, new = home / "out", Key.of_text("old"), unseg.Settings(key=Key.of_text("new"))
    unseg.protect_folder(photos, out, unseg.Settings(key=old))
    unseg.protect_folder(photos / "0.png", out, new, existing="overwrite")
    report = unseg.protect_folder(photos, out, new, existing="resume")
    assert report.totals["kept_from_earlier_run"] == 1
    assert unseg.protect_folder(photos, out, new, existing="resume").totals[
        "kept_from_earlier_run"
    ] == 2  # fmt: skip


def test_a_killed_run_knows_its_key(
    home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = home / "out"

    def killed(run: object, progress: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folders.FolderRun, "complete", killed)
        with pytest.raises(KeyboardInterrupt):
            unseg.protect_folder(photos, out, unseg.Settings(key=Key.of_text("old")))
    with pytest.raises(UnsegError, match="was begun with another key, from a key given in Python"):
        unseg.protect_folder(photos, out, unseg.Settings(key=Key.of_text("new")), existing="resume")


def test_a_data_set_has_the_same_key_and_no_copy_of_it(home: Path, photos: Path, cli: Cli) -> None:
    root, out = dataset_layouts.coco(home / "in"), home / "out"
    for folder in (root, out):
        code, _, err = cli("dataset", root, "-o", out, "--key", folder / "my.key")
        assert code == 2 and "which is there to be published" in err
        assert not (folder / "my.key").exists()
    write_key(home / "my.key", Key.generate())
    (root / "my.key").symlink_to(home / "my.key")
    code, _, err = cli("dataset", root, "-o", out, "--key", root / "my.key")
    assert code == 2 and "which is there to be published" in err and not out.exists()
    (root / "my.key").unlink()

    code, text, _ = cli("dataset", root, "-o", out, "--dry-run")
    assert code == 0 and not (home / "config").exists()
    code, text, _ = cli("dataset", root, "-o", out, "--key", home / "new.key")
    assert code == 0 and "made your key, " in text
    assert never_in(out, read_key(home / "new.key"))
    line = ("dataset", root, "-o", out, "--resume", "--key")
    code, _, err = cli(*line, home / "my.key")
    assert code == 2 and "was begun with another key" in err
    code, text, _ = cli(*line, home / "new.key")
    assert code == 0 and "made your key" not in text


def test_models_hand_the_key_to_a_generator_that_wants_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wanting(BatchSource):
        key, base = Key.of_text("public"), object()

    for kind in (Wanting, BatchSource):
        monkeypatch.setattr(loaded, "load_generator", lambda *which, kind=kind: kind())
        generator = Models(device="cpu", key=Key.of_text("mine")).generator
        expected = Key.of_text("mine") if kind is Wanting else None
        assert getattr(generator, "key", None) == expected
    monkeypatch.setattr(loaded, "load_generator", lambda *which: Wanting())
    assert Models(device="cpu").generator.key == Key.of_text("public")

    source = Wanting()
    monkeypatch.setattr(loaded, "load_generator", lambda *which: source)
    Protector.from_pretrained(device="cpu", find=(), key=Key.of_text("mine"))
    assert source.key == Key.of_text("mine") and not (home / "config").exists()
    Protector.from_pretrained(device="cpu", find=())
    assert source.key == read_key(home / "config" / "unseg" / "key")
    Protector.from_pretrained(device="cpu", find=(), key=str(home / "file.key"))
    assert source.key == read_key(home / "file.key")
