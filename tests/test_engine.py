"""Engines: whoever does the work, the files and records are the same, and nothing is lost."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from noise_stub import WaveSource, photo
from unseg.errors import UnsegError
from unseg.images.probe import Probe
from unseg.key import Key
from unseg.masks.among import AmongPhotographs
from unseg.masks.sources import DEFAULT_FIND, load_sources
from unseg.protect.engines import ENGINES
from unseg.protect.engines.ray_data import Actor, RayData, _chunks
from unseg.protect.keys import models_of
from unseg.protect.manifest import MANIFEST, RUN, Record
from unseg.protect.noises import DEFAULT_NOISES, load_noises
from unseg.protect.settings import Settings

Cli = Callable[..., tuple[int, str, str]]

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install 'unseg[ray]'"
)


class SlowWaves(WaveSource):
    """Noise that takes its time, and whose process dies where a file says so, once."""

    def __init__(self, folder: Path, amplitude: float = 1.0) -> None:
        super().__init__(amplitude)
        self.folder = folder

    def noise(self, *given: Any, **named: Any) -> Any:
        for path in self.folder.glob("kill-*"):
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return super().noise(*given, **named)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small images in two folders, with masks; one of them is broken."""
    for i in range(40):
        for part in ("photos", "masks"):
            path = tmp_path / part / f"{i % 2}" / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = photo(24, 24, seed=i)
            Image.fromarray(pixels if part == "photos" else pixels[..., 0] > 140).save(path)
    broken = tmp_path / "photos" / "1" / "07.png"
    broken.write_bytes(broken.read_bytes()[:70])
    return tmp_path / "photos"


def results(out: Path) -> dict[str, Any]:
    """All files of a run; of records all but the seconds, of the run's file only its state."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*")) if path.is_file()
    }  # fmt: skip
    lines = found.pop(MANIFEST).decode().splitlines()
    found["records"] = [{**json.loads(line), "seconds": 0} for line in lines]
    found["status"] = json.loads(found.pop(RUN))["status"]
    return found


def test_items_that_belong_together_are_not_parted() -> None:
    assert list(_chunks([1, 1, 1, 2, 3, 3, 4], lambda one: one, 2)) == [[1, 1, 1], [2, 3, 3], [4]]
    assert list(_chunks(list(range(5)), lambda one: one, 2)) == [[0, 1], [2, 3], [4]]
    assert list(_chunks([], lambda one: one, 2)) == []


def test_an_engine_that_does_not_exist_or_has_no_workers_is_named(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--engine", "spark")
    assert code == 2 and "spark is not a engine" in err.replace("an engine", "a engine")
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--workers", "4")
    assert code == 2 and "--workers 4 needs --engine ray" in err
    with pytest.raises(UnsegError, match="expected at least 1"):
        ENGINES.build("ray", workers=0)
    assert not (tmp_path / "out").exists()


def test_a_missing_ray_is_named_before_anything_is_done(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--engine", "ray")
    assert code == 2 and err.strip().endswith("pip install 'unseg[ray]'")
    assert not (tmp_path / "out").exists()


def test_what_goes_to_other_processes_arrives(tmp_path: Path) -> None:
    probe = pickle.loads(pickle.dumps(Probe(3.0)))  # noqa: S301
    assert isinstance(probe, Probe) and probe.seconds == 3.0
    paths = []
    for i in range(60):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(photo(24, 24, seed=i)).save(paths[-1])
    sent = AmongPhotographs(paths)
    arrived = pickle.loads(pickle.dumps(sent))  # noqa: S301
    assert arrived() and sent() and len(arrived._paths) == 24


def test_an_actor_does_what_it_is_handed_as_this_process_would(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool without Ray: worker and items go through pickle, as they do on a cluster."""
    line = ["protect", photos, "--masks", tmp_path / "masks", "-o"]
    assert cli(*line, tmp_path / "serial")[0] == 1
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda reference: reference))

    def run(self: RayData, worker: Any, items: Any, together: Any, *_: Any) -> Iterator[Record]:
        actors = [Actor([pickle.dumps(worker)], 1) for _ in range(2)]
        for number, chunk in enumerate(_chunks(items, together, 16)):
            if number == 1:  # it died when it had written what it was handed
                actors[0]({"items": [pickle.dumps(chunk)]})
            made = actors[number % 2]({"items": [pickle.dumps(chunk)]})
            yield from map(Record.model_validate_json, reversed(made["record"]))

    monkeypatch.setattr(RayData, "run", run)
    monkeypatch.setattr(RayData, "start", lambda self: None)
    assert cli(*line, tmp_path / "pool", "--engine", "ray")[0] == 1
    assert results(tmp_path / "pool") == results(tmp_path / "serial")
    taken = tmp_path / "taken" / "0" / "00.png"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    code, text, _ = cli(*line, tmp_path / "taken", "--engine", "ray", "--json")
    errors = json.loads(text)["errors"]
    assert code == 1
    assert [one["source"] for one in errors] == ["0/00.png", "1/07.png"]
    assert "exists already" in errors[0]["error"] and taken.read_bytes() == b"mine"


def test_the_models_that_ship_go_to_other_processes() -> None:
    models = models_of(Settings(key=Key.of_text("the tests"), device="cpu"))
    held = (load_sources(DEFAULT_FIND, models), load_noises(DEFAULT_NOISES, models))
    sources, noises = pickle.loads(pickle.dumps(held))  # noqa: S301
    assert [one.name for one in sources] == list(DEFAULT_FIND)
    assert [one.sha256 for one in noises] == [one.sha256 for one in held[1]]
    before, after = (one[0].model.base.state_dict() for one in (held[1], noises))
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two processors on this machine, as the engine makes one, for all tests."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'unseg[ray]'")
    from unseg.protect.engines.ray_data import _joined

    try:
        ray, _ = _joined(2)
    except UnsegError as error:
        pytest.skip(f"this machine is too busy for Ray: {error}")
    yield ray
    ray.shutdown()


@needs_ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_listens_where_no_other_machine_reaches_it(cluster: Any) -> None:
    addresses = {node["NodeManagerAddress"] for node in cluster.nodes()}
    assert all(one.startswith("127.") for one in addresses), addresses
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not cluster._private.worker._global_node.webui_url


@needs_ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_writes_the_bytes_of_one_process_though_workers_die(
    cluster: Any, cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two actors die, each once, in the middle of what they were given."""
    line = ["protect", photos, "--masks", tmp_path / "masks", "-o"]
    code, text, _ = cli(*line, tmp_path / "serial", "--json")
    assert code == 1 and json.loads(text)["totals"]["errors"] == 1
    kills = tmp_path / "kills"
    kills.mkdir()
    (kills / "kill-now").touch()
    monkeypatch.setattr("unseg.models.loaded.load_generator", lambda *_, **__: SlowWaves(kills))
    late = threading.Timer(1.5, lambda: (kills / "kill-late").touch())
    late.start()
    ray = ["--engine", "ray", "--workers", "2", "--json"]
    code, text, err = cli(*line, tmp_path / "ray", *ray)
    late.join()
    assert code == 1, err
    assert not (kills / "kill-now").exists()
    assert results(tmp_path / "ray") == results(tmp_path / "serial")
    # What is there already is kept, and what a stranger left is not replaced.
    code, text, _ = cli(*line, tmp_path / "ray", *ray, "--resume")
    assert code == 1
    assert json.loads(text)["totals"]["kept_from_earlier_run"] == 39
    assert cli("verify", tmp_path / "ray", "--originals", photos)[0] == 0
    taken = tmp_path / "taken" / "0" / "00.png"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    code, text, _ = cli(*line, tmp_path / "taken", *ray)
    errors = json.loads(text)["errors"]
    assert [one["source"] for one in errors] == ["0/00.png", "1/07.png"]
    assert "exists already" in errors[0]["error"] and taken.read_bytes() == b"mine"
