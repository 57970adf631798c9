"""What lies in docs/results/real: found by the suites that made it, and told by the documents."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from unseg.errors import UnsegError
from unseg.evaluate.build import build_defence, build_task, build_victim
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.defences.learned import Restoring
from unseg.evaluate.processes import Processes
from unseg.evaluate.protocol import Run
from unseg.evaluate.results import Result, ResultStore
from unseg.evaluate.suites import SUITES, Cell
from unseg.report.readme import END, START, inserted, readme_table
from unseg.report.summary import find_results, summarise

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs" / "results" / "real"
KEPT = ("real", "schedules", "frontier", "gpu")
"""Suites whose results lie in it."""


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return ResultStore(STORED).all()


def test_a_suite_finds_every_stored_result(
    results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, revisions and settings of today's classes make the keys of the files."""
    data = {(run.named("task"), run.config["task"]["part"]): run.config["task"] for run in results}
    clean = {
        run.named("defence"): run.config["defence"]["clean_sha256"]
        for run in results
        if "clean_sha256" in run.config["defence"]
    }
    monkeypatch.setattr(
        Restoring, "clean_images", lambda self: SimpleNamespace(sha256=clean.get(self.name, ""))
    )
    processes = Processes()
    benches = {}
    for (name, part), task in data.items():
        sums = {"sha256": task["data_sha256"], "members": task["split_sha256"]}
        benches[name, part] = SimpleNamespace(task=build_task(name), part=part, **sums)

    def key(cell: Cell) -> str:
        return Run.of(
            benches[cell.task, cell.part],  # type: ignore[arg-type]
            build_victim(cell.victim),
            build_condition(cell.condition, budget=cell.budget),
            build_defence(cell.defence),
            cell.seed,
            label=cell.defence,
            processes=processes,
        ).key

    cells = [cell for name in KEPT for cell in SUITES[name].cells()]
    keys = {key(cell) for cell in cells if (cell.task, cell.part) in benches}
    assert sorted(run.file_name for run in results if run.key not in keys) == []


def test_the_readme_shows_the_stored_results(tmp_path: Path, cli) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    copy = tmp_path / "README.md"
    copy.write_text(readme.replace(" 0.", " 9."), encoding="utf-8")
    code, out, err = cli("report", STORED, "--readme", copy)
    assert code == 0 and "wrote" in out, err
    table = copy.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    assert table == readme.split(START)[1].split(END)[0]
    code, out, _ = cli("report", STORED, "--readme", "-")
    assert code == 0 and out == table.lstrip("\n")
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) == len({row.split(" (")[0] for row in rows}) <= 13  # one a task


def test_the_results_page_is_what_the_command_makes(tmp_path: Path, cli) -> None:
    page = tmp_path / "results.md"
    assert cli("report", STORED, "--markdown", page)[0] == 0
    made, shown = (
        path.read_text(encoding="utf-8").split("\n\n", 2)[2]
        for path in (page, ROOT / "docs" / "results.md")
    )
    assert made == shown  # behind the line that names the command


def test_a_table_needs_its_markers() -> None:
    found = find_results([STORED])
    table = readme_table(summarise(list(found.values())))
    assert inserted(f"{START}\n{END}", table) == f"{START}\n{table}{END}"
    for text in ("", START, f"{END}{START}", f"{START}{START}{END}"):
        with pytest.raises(UnsegError, match="expected a line <!-- table"):
            inserted(text, table)
