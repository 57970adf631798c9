"""What a run over a data set will do: found out and told before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from unseg.datasets.embedded import packed_files
from unseg.datasets.layout import ALL, Layout, Survey, is_background
from unseg.datasets.layouts import open_layout
from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.images.formats import FORMATS, format_of
from unseg.images.writer import output_suffix
from unseg.masks.annotations.names import unknown_class
from unseg.masks.regions import Target
from unseg.progress import Progress, Update, silent
from unseg.protect.carried import OWN, every_file, refuse_names
from unseg.protect.manifest import MASKS
from unseg.protect.only import chosen_images
from unseg.protect.plan import Job
from unseg.protect.settings import OutputFormat
from unseg.remarks import Remark, texts


@dataclass(frozen=True)
class DatasetPlan:
    """A data set, and which of its images are protected.

    Args:
        root: of the data set.
        layout: reads its annotations.
        survey: what it holds.
        splits: that are protected.
        classes: numbers and names of the classes that are protected.
        dense: whether these fill the images, so that there is no background.
        protected: images of the splits with an object of these classes.
        negative: images of the splits without one: copied.
        unannotated: images of the splits without an annotation: copied unless something finds
            objects in them.
        apart: images that are in no split at all: copied.
        beyond: images that a trial's limit, or a list of images, leaves out: copied.
        objects: by the name of a class, how many images of the splits have it.
        with_objects: how many images of the splits have an object of these classes.
        files: names of all files of the data set.
        find: names of the mask sources for images without an annotation.
        only: whether a list of the owner's names the images.
    """

    root: Path
    layout: Layout
    survey: Survey
    splits: tuple[str, ...]
    classes: dict[int, str]
    dense: bool
    protected: tuple[str, ...]
    negative: tuple[str, ...]
    unannotated: tuple[str, ...]
    apart: tuple[str, ...]
    beyond: tuple[str, ...]
    objects: dict[str, int]
    with_objects: int
    files: tuple[str, ...]
    find: tuple[str, ...] = ()
    only: bool = False

    @property
    def target(self) -> Target:
        """One prompt a class where the classes fill the images, else one for all objects."""
        return "class" if self.dense else "union"

    @property
    def format(self) -> OutputFormat:
        """How images are written so that their names stay valid, see :func:`protect_dataset`."""
        if self.layout.keeps_kind:
            return "same"
        kinds = [format_of(PurePosixPath(name).suffix) for name in self.protected]
        written = all(kind is not None and kind.written for kind in kinds)
        lossless = all(kind is not None and kind.lossless for kind in kinds)
        plain = {kind.name for kind in kinds if kind} <= {"PNG"}
        same = written and (self.layout.fixed_names or (lossless and not plain))
        return "same" if same else "png"

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What the owner should know before a run."""
        found = list(self.survey.remarks)
        left = () if self.find else self.unannotated
        for names, text in (
            (left, "{} images of the splits have no annotation and are copied as they are (--find "
             "protects what is found in them; first: {})"),
            (list(packed_files(self.files)), "{} files may hold the images once more and are "
             "copied as they are (archives, records and arrays; first: {}): leave them out of what "
             "you publish"),
            (self.apart, "{} images are in no split and are copied as they are (first: {})"),
            (self.beyond, "{} more images of the splits are left as they are ({reason}; "
             "first: {})"),
        ):  # fmt: skip
            if names:
                reason = "--only" if self.only else "--limit"
                text = text.format(len(names), names[0], reason=reason)
                found.append(Remark(text, warning=True))
        return tuple(found)

    def describe(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "input": str(self.root),
            "layout": self.layout.name,
            "images": len(self.survey.images),
            "splits": {name: len(images) for name, images in self.survey.splits.items()},
            "protected_splits": list(self.splits),
            "classes": list(self.survey.classes.values()),
            "protected_classes": list(self.classes.values()),
            "images_with_class": self.objects,
            "with_objects": self.with_objects,
            "to_protect": len(self.protected),
            "without_objects": len(self.negative),
            "without_annotation": len(self.unannotated),
            "in_no_split": len(self.apart),
            "files": len(self.files),
            "target": self.target,
            "format": self.format,
            "notes": texts(self.remarks, warning=False),
            "warnings": texts(self.remarks, warning=True),
        }


def plan_dataset(
    root: AnyPath,
    *,
    layout: str = "auto",
    splits: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    limit: int | None = None,
    only: AnyPath | None = None,
    find: Sequence[str] = (),
    progress: Progress = silent,
) -> DatasetPlan:
    """Look at a data set and choose what is protected; nothing is written.

    Args:
        root: folder of the data set.
        layout: see :data:`unseg.datasets.layouts.LAYOUTS`; ``auto`` finds out.
        splits: names of the splits to protect, ``all`` for all of them; by default those that are
            trained on.
        classes: names of the classes to protect; by default all but those called background.
        exclude: names of classes that are not protected.
        limit: protect the first so many images only, for a trial.
        only: protect only the images that this file names, one a line or as an earlier run's
            manifest; see :func:`unseg.protect.only.read_names`.
        find: mask sources for images of the splits that have no annotation; without, such images
            are copied.
        progress: told of every image whose annotation was looked at.

    Raises:
        UnsegError: when the folder has no known layout, or a split or class is unknown or empty.
    """
    place = Path(root)
    for own in OWN:
        if (place / own).exists():
            raise UnsegError(
                f"{place} holds {own}, which unseg writes: if it is protected already, give the "
                "original data set; if not, move it out"
            )
    progress(Update("reading the data set", 0, 1))
    found = open_layout(place, layout)
    survey = found.survey()
    progress(Update("reading the data set", 1, 1))
    wanted = _splits(survey, splits)
    images = sorted({name for split in wanted for name in survey.splits[split]})
    held: dict[str, frozenset[int] | None] = {}
    for count, name in enumerate(images, 1):
        held[name] = found.classes_in(name)
        progress(Update("looking at annotations", count, len(images), None))
    numbers = {number for one in held.values() for number in one or ()}
    named = {**survey.classes, **{i: str(i) for i in numbers - survey.classes.keys()}}
    if not named and not (find and None in held.values()):
        fix = "give --find salient,whole-image to protect images without annotation"
        raise UnsegError(
            f"no image of {', '.join(wanted)} has an annotated object: "
            f"{fix if None in held.values() else 'there is nothing to protect'}" + _warned(survey)
        )
    chosen = _classes(named, classes, exclude) if named or classes or exclude else {}
    good = [name for name, one in held.items() if one is not None and one & chosen.keys()]
    found_in = set(good)
    if not good and not any(one is None for one in held.values()):
        raise UnsegError(
            f"no image of {', '.join(wanted)} has an object of the classes "
            f"{', '.join(chosen.values())}: there is nothing to protect" + _warned(survey)
        )
    if limit is not None and limit < 1:
        raise UnsegError(f"limit {limit}: expected at least 1")
    unannotated = [name for name, one in held.items() if one is None]
    kept, left = good, []
    if only is not None:
        named_in = chosen_images(Path(only), [*good, *unannotated], survey.images)
        kept = [name for name in good if name in named_in]
        left = [name for name in (*good, *unannotated) if name not in named_in]
        unannotated = [name for name in unannotated if name in named_in]
    if limit is not None:
        kept, left = kept[:limit], [*kept[limit:], *left]
    counts = Counter(number for one in held.values() for number in one or ())
    everything = tuple(every_file(place))
    return DatasetPlan(
        root=place,
        layout=found,
        survey=survey,
        splits=wanted,
        classes=chosen,
        dense=survey.dense and chosen.keys() >= named.keys(),
        protected=tuple(kept),
        negative=tuple(n for n, one in held.items() if one is not None and n not in found_in),
        unannotated=tuple(unannotated),
        apart=tuple(sorted(name for name, of in survey.images.items() if not of)),
        beyond=tuple(sorted(left)),
        objects={name: counts[i] for i, name in named.items() if counts[i]},
        with_objects=len(good),
        files=everything,
        find=tuple(find),
        only=only is not None,
    )


def _splits(survey: Survey, splits: Sequence[str] | None) -> tuple[str, ...]:
    known = ", ".join(survey.splits) or "none"
    if splits is not None and [*splits] == [ALL]:
        chosen = tuple(survey.splits)
    elif splits is not None:
        for name in splits:
            if name not in survey.splits:
                raise UnsegError(
                    f"split {name} is not in the data set or is empty: choose from {known}"
                )
        chosen = tuple(dict.fromkeys(splits))
    else:
        chosen = survey.training
    if not chosen:
        raise UnsegError(
            f"no split has an image that is trained on (there are {known}): name some with --splits"
            + _warned(survey)
        )
    return chosen


def _warned(survey: Survey) -> str:
    """What may be the reason that nothing was found."""
    return "".join(f"; {text}" for text in texts(survey.remarks, warning=True))


def _classes(
    named: dict[int, str], classes: Sequence[str] | None, exclude: Sequence[str]
) -> dict[int, str]:
    """Numbers and names of the chosen classes."""

    def numbers(names: Sequence[str]) -> set[int]:
        found: set[int] = set()
        for said in names:
            word = said.strip().lower()
            # ADE20K names a class by its synonyms, such as "building, edifice".
            fit = {i for i, name in named.items() if word in _synonyms(name)}
            if not fit:
                known = unknown_class(said, named.values())
                raise UnsegError(f"class {said} is not in the data set: {known}")
            found |= fit
        return found

    usual = {i for i, name in named.items() if not is_background(name)}
    wanted = usual if classes is None else numbers(classes)
    chosen = {i: named[i] for i in sorted(wanted - numbers(exclude))}
    if not chosen:
        raise UnsegError("no class is left to protect: name fewer with --exclude")
    return chosen


def _synonyms(name: str) -> set[str]:
    whole = name.lower()
    return {whole, *(part.strip() for part in whole.split(","))}


def jobs_of(plan: DatasetPlan, format: OutputFormat, batch_size: int) -> list[Job]:
    """A job for every image to protect; names stay where the written kind is the file's own.

    Args:
        plan: of the data set.
        format: of the written images.
        batch_size: images of a group.

    Raises:
        UnsegError: when a new name is another file's, or no name for Windows.
    """
    if plan.layout.keeps_kind and format != "same":
        raise UnsegError(
            f"images of the layout {plan.layout.name} stay what they are: use --format same"
        )
    names = sorted((*plan.protected, *(plan.unannotated if plan.find else ())))
    jobs = []
    for place, name in enumerate(names):
        output, refusal = name, None
        try:
            output = _output(name, format)
        except UnsegError as error:
            refusal = str(error)
        mask = f"{output if format == 'same' else output.rpartition('.')[0]}.png"
        jobs.append(
            Job(plan.root / name, name, output, f"{MASKS}/{mask}", refusal, place // batch_size)
        )
    mine = set(names)
    taken = {name: name for name in plan.files if name not in mine}
    for job in sorted(jobs, key=lambda job: job.output != job.source):
        if job.output in taken:
            raise UnsegError(
                f"{job.source} would be written to {job.output}, which is taken by "
                f"{taken[job.output]}: use --format same, which keeps names"
            )
        taken[job.output] = job.source
    refuse_names(taken)
    return jobs


def _output(name: str, format: OutputFormat) -> str:
    suffix = PurePosixPath(name).suffix
    kind = format_of(suffix)
    if kind is not None and kind == FORMATS.get(format.upper()):
        return name  # whatever its suffix, such as .PNG
    return name.removesuffix(suffix) + output_suffix(Path(name), format)


DatasetFormat = OutputFormat | Literal["auto"]
"""How images are written: ``auto`` keeps names valid."""
