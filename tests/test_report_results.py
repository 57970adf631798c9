"""unseg report, run as a user runs it: pages, figures and Markdown hold what the files hold."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import synthetic_results as made
from unseg.cli.main import app
from unseg.errors import UnsegError
from unseg.evaluate.pictures import CELL, names
from unseg.evaluate.results import ResultStore
from unseg.evaluate.suites import SUITES
from unseg.report.failures import failures, not_measurable
from unseg.report.figures import FIGURES
from unseg.report.figures.curves import VisibilityCurve
from unseg.report.names import distinguish
from unseg.report.readme import END, START, readme_table
from unseg.report.summary import find_results, summarise


class Page(HTMLParser):
    """Rows of all tables, texts of all items, and pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.items: list[str] = []
        self.images: list[str] = []
        self.outside: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "li":
            self.items.append("")
        elif tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        self.outside += [
            v or "" for k, v in attrs if k in ("src", "href") and v and v[0] != "#"
            and not v.startswith("data:")
        ]  # fmt: skip
        if tag in ("script", "link", "iframe"):
            self.outside.append(tag)

    def handle_data(self, data: str) -> None:
        tag = self._open[-1] if self._open else ""
        if tag in ("td", "th", "b", "span") and self.rows:
            self.rows[-1][-1] += data + " "
        elif "li" in self._open and self.items:
            self.items[-1] += data

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_results(tmp_path_factory.mktemp("made") / "results")


@pytest.fixture(scope="module")
def reported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("report")
    line = ["report", results, "-o", out / "page", "--markdown", out / "docs" / "results.md"]
    done = CliRunner().invoke(app, list(map(str, line)))
    assert done.exit_code == 0, done.output
    assert "index.html" in done.stdout and "results.md" in done.stdout
    return out / "page", (out / "docs" / "results.md").read_text(encoding="utf-8")


def entries_of(folder: Path):
    found = find_results([folder])
    return summarise(list(found.values()), {run.key: path for path, run in found.items()})


def test_the_page_needs_no_other_file(reported: tuple[Path, str]) -> None:
    page = Page((reported[0] / "index.html").read_text(encoding="utf-8"))
    assert page.outside == []
    assert len(page.images) == len(list(reported[0].glob("*.png"))) == len(FIGURES)
    for source in page.images:
        kind, _, body = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(body)[:4] == b"\x89PNG"


def test_page_and_markdown_hold_the_figures_of_the_files(
    reported: tuple[Path, str], results: Path
) -> None:
    page = Page((reported[0] / "index.html").read_text(encoding="utf-8"))
    row = next(row for row in page.rows if row[0].strip() == "person, unet")
    head = next(row for row in page.rows if row[0].strip() == "task, victim")
    shown = dict(zip((name.strip() for name in head), row, strict=True))
    runs = [run for run in ResultStore(results).all() if run.named("task") == "person"]
    plain = [run for run in runs if run.config["defence"]["label"] == "none"]

    def values(name: str) -> list[float]:
        return [
            run.value for run in plain if run.config["condition"] == made.condition(name)
        ]  # fmt: skip

    clean = float(np.mean(values("clean")))
    for name in ("clean", "unseg", "random", "pattern", "texture"):
        mean = float(np.mean(values(name)))
        assert f"{mean:.3f}" in shown[name] and f"{mean / clean:.0%}" in shown[name], name
        assert f"{mean:.3f}" in reported[1]
    assert f"± {np.std(values('unseg'), ddof=1):.3f}" in shown["unseg"]
    assert "0.120 ± 0.020 (19%)" in reported[1]
    # Every run is somewhere in the Markdown: alone, or in its seeds' mean.
    for run in runs:
        alone = (
            sum(
                other.config["condition"] == run.config["condition"]
                and other.config["defence"] == run.config["defence"]
                for other in runs
            )
            == 1
        )
        assert not alone or f"{run.value:.3f}" in reported[1], run.file_name
    assert "unseg evaluate --suite real --data data -o results" in reported[1]
    assert "| 80% | 0.300 (48%) | 0.400 (65%) |" in reported[1]


def test_figures_are_drawn(reported: tuple[Path, str]) -> None:
    for stem in FIGURES:
        with Image.open(reported[0] / f"{stem}.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        assert min(pixels.shape[:2]) > 200, stem
        assert 0.01 < (pixels.min(axis=2) < 250).mean() < 0.95, stem


def test_failures_are_said_with_their_figures(results: Path, reported: tuple[Path, str]) -> None:
    said = [failure.what for failure in failures(entries_of(results))]
    assert any("unseg 2/0.5 leaves 81% (0.500 of 0.620)" in line for line in said)
    assert any(
        "pattern leaves 8% (0.050 of 0.620), less than the best of ours, unseg with 19%" in line
        for line in said
    )
    # Texture leaves less, too, but by less than a point.
    assert not any("texture" in line or "random" in line for line in said)
    assert any("(without: 19%): jpeg75 73%." in line for line in said)
    assert not any("resize50" in line for line in said)
    # The protected images helped at a share of 20 % only.
    assert any("(20%: 0.600 and 0.570)" in line for line in said)
    section = reported[1].split("## Where protection fails")[1].split("\n## ")[0]
    assert all(line in section for line in said)
    page = Page((reported[0] / "index.html").read_text(encoding="utf-8"))
    assert all(any(line in item for item in page.items) for line in said)


def test_a_victim_below_its_floor_measures_nothing(
    results: Path, reported: tuple[Path, str]
) -> None:
    entries = entries_of(results)
    line = "ccp, unet: not measurable here, clean training reaches 0.310 and the floor is 0.55."
    assert not_measurable(entries) == [line]
    assert line in reported[1]
    assert not any(failure.where.startswith("ccp") for failure in failures(entries))
    text = (reported[0] / "index.html").read_text(encoding="utf-8")
    low = re.findall(r'<td class="quiet"><b>94%</b><span>0\.290</span></td>', text)
    assert low, "its cells have no colour of success or failure"


def test_partial_results_make_a_partial_report(tmp_path: Path, cli) -> None:
    made.put(tmp_path / "r", "person", "unet", "unseg", 0.3)
    markdown = tmp_path / "results.md"
    code, _, err = cli("report", tmp_path / "r", "-o", tmp_path / "page", "--markdown", markdown)
    assert code == 0, err
    assert (tmp_path / "page" / "index.html").is_file()
    assert list((tmp_path / "page").glob("*.png")) == []
    assert "| unseg | 0.300 |" in markdown.read_text()
    assert "clean training has not run yet" in markdown.read_text()


def test_every_class_is_shown_where_there_are_several(tmp_path: Path, cli) -> None:
    """PQ's mean keeps its background when all people are gone."""
    for seed, person in ((0, 0.20), (1, 0.30)):
        scores = {"pq/person": person, "pq/background": 0.9}
        made.put(tmp_path / "r", "panoptic", "mask2former", "clean", 0.6, seed=seed, scores=scores)
    scores = {"pq/person": 0.05, "pq/background": 0.8}
    made.put(tmp_path / "r", "panoptic", "mask2former", "unseg", 0.425, scores=scores)
    markdown = tmp_path / "results.md"
    assert cli("report", tmp_path / "r", "-o", tmp_path / "page", "--markdown", markdown)[0] == 0
    text = markdown.read_text()
    assert "### pq of every class: mask2former" in text
    assert "| person | 0.250 | 0.050 (20%) |" in text
    assert "| background | 0.900 | 0.800 (89%) |" in text


def test_figures_beside_the_metric_are_shown_and_counts_are_not(tmp_path: Path, cli) -> None:
    for condition, last, first in (("clean", 0.8, 0.6), ("unseg", 0.79, 0.3)):
        scores = {"iou1": first, "iou3": last, "targets": 56.0}
        made.put(tmp_path, "clicked", "ritm", condition, last, metric="iou3", scores=scores)
    code, _, error = cli("report", tmp_path, "-o", tmp_path / "page", "--markdown", tmp_path / "m")
    assert code == 0, error
    text = (tmp_path / "m").read_text()
    assert "| iou1 | 0.600 | 0.300 (50%) |" in text
    assert "targets" not in text


def test_runs_that_differ_in_a_setting_are_no_seeds_of_one_another(tmp_path: Path) -> None:
    for width in (8, 16):
        made.put(tmp_path, "person", "unet", "clean", width / 32, settings={"width": width})
    entries = entries_of(tmp_path)
    assert [entry.victim for entry in entries] == ["unet (width=16)", "unet (width=8)"]
    assert [entry.retention for entry in entries] == [1, 1]


def test_names_are_told_apart_only_where_they_must() -> None:
    generators = [
        {"name": "unseg", "generator_id": letter * 64, "budget": {"foreground": 8}}
        for letter in "ab"
    ]
    assert distinguish(generators) == [
        "unseg (generator_id=aaaaaaaa)", "unseg (generator_id=bbbbbbbb)",
    ]  # fmt: skip
    assert distinguish(generators, within=["semantic", "medical"]) == ["unseg", "unseg"]


def test_one_protected_class_has_a_table_of_its_own(tmp_path: Path, cli) -> None:
    scores = {"iou/Car": 0.6, "iou/Sky": 0.9, "iou/Road": 0.7}
    made.put(tmp_path, "semantic", "unet", "clean", 0.73, metric="miou", scores=scores)
    one = {"name": "unseg[only car]", "klass": "car", "condition": made.condition("unseg", 8, 0)}
    scores = {"iou/Car": 0.06, "iou/Sky": 0.9, "iou/Road": 0.5}
    made.put(tmp_path, "semantic", "unet", one, 0.48, metric="miou", scores=scores)
    out = tmp_path / "results.md"
    assert cli("report", tmp_path, "--markdown", out)[0] == 0
    assert "| car | 0.600 | 0.060 (10%) |" in out.read_text()
    assert "| mean of the others | 0.800 | 0.700 (87%) |" in out.read_text()


def test_answers_are_shown_where_their_pictures_lie(tmp_path: Path, cli) -> None:
    folder = tmp_path / "r"
    colours = {"clean": (0, 200, 0), "pattern": (0, 0, 200), "unseg": (200, 0, 0)}
    for name, colour in colours.items():
        run = made.put(folder, "medical", "unet", name, 0.9 if name == "clean" else 0.3)
        answers, images, truth = names(run)
        for file in (answers, images, truth):
            shade = colour if file == answers else (90, 90, 90)
            Image.new("RGB", (2 * CELL, CELL), shade).save(folder / file)
    assert cli("report", folder, "-o", tmp_path / "page")[0] == 0
    with Image.open(tmp_path / "page" / "answers-medical.png") as sheet:
        seen = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 16) or []}
    assert set(colours.values()) <= seen
    page = Page((tmp_path / "page" / "index.html").read_text(encoding="utf-8"))
    assert any("answers" not in source for source in page.images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-o", "r"], "nowhere does not exist: give result files or folders of them"),
        (["{}", "-o", "r"], "no result files here; make some with unseg evaluate"),
        (["{}"], "report needs -o FOLDER for the page, --markdown FILE, or --readme FILE"),
    ],
)
def test_wrong_use_gets_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, cli
) -> None:
    code, _, err = cli("report", *(str(tmp_path) if word == "{}" else word for word in arguments))
    assert code == 2
    assert message in err and len(err.strip().splitlines()) == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    made.put(tmp_path, "person", "unet", "clean", 0.6)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UnsegError, match=r"broken\.json is not a result file"):
        find_results([tmp_path])


def test_precisions_are_told_apart_and_have_references_of_their_own(tmp_path: Path) -> None:
    for launch, clean in ((None, 0.6), ({"mixed_precision": "bf16"}, 0.4)):
        made.put(tmp_path, "person", "unet", "clean", clean, launch=launch)
        made.put(tmp_path, "person", "unet", "unseg", 0.2, launch=launch)
    found = {(one.victim, one.condition): one.retention for one in entries_of(tmp_path)}
    plain, half = "unet (mixed_precision=None)", "unet (mixed_precision=bf16)"
    assert found[plain, "unseg"] == pytest.approx(0.2 / 0.6)
    assert found[half, "unseg"] == pytest.approx(0.5)
    assert found[plain, "clean"] == found[half, "clean"] == 1


def test_resolution_and_visibility_stand_beside_the_retention(tmp_path: Path, cli) -> None:
    settings = {"size": 448, "crop": 320}
    for seed, ours in ((0, 0.2), (1, 0.3)):
        more = {"seed": seed, "settings": settings}
        made.put(tmp_path / "r", "person", "unet", "clean", 0.8, **more)
        made.put(
            tmp_path / "r", "person", "unet", {**made.condition("unseg"), "visibility": "normal"},
            ours, visibility=(86.2 - seed, 82.0 + seed), **more,
        )  # fmt: skip
    waves = {**made.condition("stripes"), "visibility": "normal"}
    made.put(tmp_path / "r", "person", "unet", waves, 0.24, visibility=(87, 83), settings=settings)
    strong = {**made.condition("stripes-strong"), "visibility": "strong"}
    made.put(tmp_path / "r", "person", "unet", strong, 0.1, visibility=(40, 30), settings=settings)
    made.put(tmp_path / "r", "person", "unet", "pattern", 0.3, settings=settings)
    markdown, readme = tmp_path / "results.md", tmp_path / "README.md"
    readme.write_text(f"{START}\n{END}\n")
    code, _, err = cli(
        "report", tmp_path / "r", "-o", tmp_path / "page", "--markdown", markdown,
        "--readme", readme,
    )  # fmt: skip
    assert code == 0, err
    text = markdown.read_text()
    # Mean of the means, lowest of the lowest.
    assert "| unseg | 0.250 ± 0.071 (31% at 86/82) |" in text
    assert "| training images | unet, 448 px |" in text and "| person, unet, 448 px |" in text
    assert "mean and lowest SSIMULACRA2" in text
    assert "0.250 (unseg) at 86/82 | 31% |" in readme.read_text()
    assert "| 0.300 (pattern) | 0.240 at 87/83 |" in readme.read_text()
    assert "Hand-made waves do as well or better: person (unet). Not run: " in readme.read_text()
    page = Page((tmp_path / "page" / "index.html").read_text(encoding="utf-8"))
    assert any("31% at 86/82" in cell for row in page.rows for cell in row)
    # What is as hard to see is compared with ours, what is not is no baseline either.
    said = [failure.what for failure in failures(entries_of(tmp_path / "r"))]
    assert said == [
        "At the visibility normal, hand-made stripes leave 30% at 87/83 (0.240 of 0.800) and the "
        "best of ours, unseg, 31% at 86/82 (0.250 of 0.800): the generator adds nothing."
    ]


def test_the_short_table_is_of_what_ran_and_says_what_did_not(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        made.put(tmp_path, "person", "deeplabv3", "clean", 0.8, seed=seed)
    for victim, name, value in (
        ("deeplabv3", "unseg", 0.2), ("deeplabv3", "random", 0.8), ("tinyvit", "clean", 0.8),
        ("tinyvit", "unseg", 0.6),
    ):  # fmt: skip
        made.put(tmp_path, "person", victim, name, value)
    for name, value in (("clean", 0.6), ("stripes", 0.3)):
        made.put(tmp_path, "roads", "unet", name, value)
    made.put(tmp_path, "lungs", "unet", "clean", 0.9)
    # Of the suite gpu: neither shown nor counted.
    large = dict(SUITES["gpu"].cells()[0].victim.settings) | {"augmentation": {}}
    for name, value in (("clean", 0.7), ("random", 0.7), ("unseg-class", 0.1)):
        made.put(tmp_path, "semantic", "deeplabv3", name, value, settings=large)
    made.put(tmp_path, "polyps", "segformer", "clean", 0.1)
    made.put(tmp_path, "polyps", "segformer", "unseg", 0.1)
    table, rest = readme_table(entries_of(tmp_path)).split("\n\n")
    assert "best hand-made" not in table  # none ran
    assert table.splitlines()[2:] == [
        "| person (iou) | deeplabv3 | 0.800 | 0.800 | - | 0.200 (unseg) | 25%, 75% (tinyvit) |",
        "| roads (iou) | unet | 0.600 | - | 0.300 | - | - |",
    ]
    assert rest == (
        "Not run: semantic, medical, instance, panoptic, detection, clicked, facades; unet "
        "(polyps); segformer (roads, lungs); stripes (person, lungs unet, polyps segformer); "
        "ours (roads unet, lungs unet); random (roads unet, lungs unet, person tinyvit, polyps "
        "segformer). 9 of 10 figures have fewer than 3 seeds. Below their floor after clean "
        "training: polyps (segformer).\n"
    )


def test_older_results_have_no_visibility_and_are_read(tmp_path: Path) -> None:
    path = ResultStore(tmp_path).save(made.put(tmp_path, "person", "unet", "unseg", 0.3))
    body = json.loads(path.read_text())
    del body["visibility"]
    path.write_text(json.dumps(body))
    [result] = ResultStore(tmp_path).all()
    assert result.visibility == {} and result.resolution is None
    assert entries_of(tmp_path)[0].visibility is None
    for wrong in ({"mean": "high"}, [3]):
        path.write_text(json.dumps({**body, "visibility": wrong}))
        with pytest.raises(UnsegError, match="is not a result file"):
            ResultStore(tmp_path).all()


def test_a_noise_at_its_levels_is_one_line(results: Path) -> None:
    roads = [entry for entry in entries_of(results) if entry.task == "roads"]
    curve = VisibilityCurve()
    lines = {
        name: sorted(curve.x(entry) for entry in entries)
        for name, entries in curve.lines(roads).items()
    }
    assert lines == {"unseg": [10, 50, 90], "stripes": [15, 55, 95]}
