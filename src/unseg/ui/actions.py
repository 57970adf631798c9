"""What each control of the page does: values in, new contents of named parts of the page out.

Nothing here knows how the page is drawn; :mod:`unseg.ui.page` turns names into controls.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unseg.errors import UnsegError
from unseg.progress import Update
from unseg.protect import memory
from unseg.ui import texts
from unseg.ui.comparing import Pair, ShownPart, viewer
from unseg.ui.outlines import as_jpeg, outlined
from unseg.ui.protecting import Choices, protect_session, refuse_empty, written_files, zipped
from unseg.ui.session import Session, Sessions

#: New contents by name of the part of the page; see :data:`unseg.ui.page.PARTS`.
Contents = dict[str, Any]


def shown(**properties: Any) -> dict[str, Any]:
    """A change of a control's properties, as gradio's ``update`` writes it."""
    return {"__type__": "update", **properties}


def address(path: Path) -> str:
    """Where the page finds a file of its session."""
    return f"gradio_api/file={quote(str(path))}"


def said(error: Exception) -> str:
    """An error as a sentence."""
    if memory.is_exhausted(error):
        return "There is not enough memory: end other programs, or make the photograph smaller."
    if isinstance(error, UnsegError):
        return texts.sentence(str(error))
    return texts.unexpected(error)


class Actions:
    """What the page can do.

    Args:
        sessions: of all visitors. Every method's first argument says which one calls.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def upload(self, key: str, files: Sequence[str] | None) -> Contents:
        """Photographs were dropped: take those that can be read, and show the first."""
        session = self.sessions.get(key)
        problems, added = [], []
        for file in files or ():
            try:
                added.append(session.add(Path(file)).name)
            except Exception as error:
                problems.append(said(error))
        contents = self._listing(session)
        for name in added:
            try:
                contents |= self._picture(session, name)
                break
            except Exception as error:  # the next one may be readable
                problems.append(said(error))
                session.drop(name)
                contents |= self._listing(session)
        return {"files": None, **contents, "notice": texts.notice(problems)}

    def look(self, key: str, name: str | None, network: str) -> Contents:
        """Another photograph was chosen from the list."""
        session = self.sessions.get(key)
        if not name:
            return {}
        contents = self._picture(session, name)
        if session.result is not None and session.result.record(name) is not None:
            contents |= self._result(session, name, network)
        return contents

    def drop(self, key: str, name: str | None, network: str) -> Contents:
        """Take one photograph off the page."""
        session = self.sessions.get(key)
        if name:
            session.drop(name)
        left = next(iter(session.photos), None)
        if left is None:
            return self.forget(key)
        return {**self._listing(session), **self.look(key, left, network)}

    def forget(self, key: str) -> Contents:
        """Delete everything at once."""
        session = self.sessions.get(key)
        session.forget()
        return {
            **self._listing(session),
            "picture": shown(value=None),
            "about": "",
            "progress": "",
            "result": shown(visible=False),
        }

    def click(self, key: str, place: Sequence[float], name: str | None) -> Contents:
        """A click on the picture: add what is there, or remove it.

        Args:
            key: the visitor.
            place: x and y in pixels of the copy that is shown.
            name: of the photograph.
        """
        session = self.sessions.get(key)
        if not name:
            return {}
        photo, opened = session.open(name)
        assert photo.objects is not None
        rows, columns = opened.found.shape
        height, width = opened.copy.shape[:2]
        x = min(columns - 1, max(0, int((place[0] + 0.5) * columns / width)))
        y = min(rows - 1, max(0, int((place[1] + 0.5) * rows / height)))
        base = session.engine.tools.base
        outcome = photo.objects.toggle(x, y, lambda: opened.ask(base, x, y))
        share = float(photo.objects.union.mean())
        about = texts.about_click(outcome, len(photo.objects.masks), share)
        return self._picture(session, name, about)

    def undo(self, key: str, name: str | None) -> Contents:
        """Take the last click back."""
        return self._changed(key, name, "undo")

    def restart(self, key: str, name: str | None) -> Contents:
        """Choose what was found at first."""
        return self._changed(key, name, "restart")

    def clear(self, key: str, name: str | None) -> Contents:
        """Choose nothing."""
        return self._changed(key, name, "clear")

    def protect(
        self, key: str, name: str | None, network: str, visibility: Any, format: Any, strip: Any
    ) -> Iterator[Contents]:
        """Protect all photographs; yields what there is to show on the way."""
        session = self.sessions.get(key)
        refuse_empty(session)
        total = len(session.photos)
        choices = Choices(visibility, format, strip)
        choices.settings(session.engine.settings)
        updates: queue.Queue[Update | Exception | bool] = queue.Queue()
        thread = threading.Thread(
            target=_work, args=(lambda: protect_session(session, choices, updates.put), updates)
        )
        yield {
            "progress": texts.bar(0, total, f"Protecting {_counted(total)} ..."),
            "result": shown(visible=False), "protect": shown(interactive=False),
            "stop": shown(visible=True, interactive=True, value="Stop"),
        }  # fmt: skip
        thread.start()
        try:
            while isinstance(update := updates.get(), Update):
                if update.item is not None:
                    text = f"{update.done} of {update.total}: {update.item.source}"
                    yield {"progress": texts.bar(update.done, update.total, text)}
        finally:  # also when the page is closed
            session.stop.set()
        thread.join()
        ready = {"protect": shown(interactive=True), "stop": shown(visible=False)}
        if isinstance(update, Exception):
            yield {**ready, "progress": "", "notice": texts.notice([said(update)])}
            return
        yield {**ready, **self._finished(session, name, network, total, stopped=update)}

    def stop(self, key: str) -> Contents:
        """End the run in hand after the photograph that it is at."""
        self.sessions.get(key).stop.set()
        return {"stop": shown(interactive=False, value="Stopping after this photograph ...")}

    def part(
        self, key: str, name: str | None, network: str, across: float, down: float
    ) -> Contents:
        """Show another part of a large photograph at 100 %."""
        del network
        session = self.sessions.get(key)
        if not name:
            return {}
        return {"viewer": viewer(Pair(session, name).part(across / 100, down / 100), address)}

    def posted(self, key: str, name: str | None, network: str) -> Contents:
        """Say what another network leaves."""
        session = self.sessions.get(key)
        return {} if not name else {"figures": self._figures(Pair(session, name), network)}

    def _changed(self, key: str, name: str | None, method: str) -> Contents:
        session = self.sessions.get(key)
        if not name:
            return {}
        photo, _ = session.open(name)
        getattr(photo.objects, method)()
        return self._picture(session, name)

    def _listing(self, session: Session) -> Contents:
        names = list(session.photos)
        return {
            "photo": shown(choices=[(one, one) for one in names],
                           value=names[0] if names else None),
            "several": shown(visible=len(names) > 1),
            "choosing": shown(visible=bool(names)),
        }  # fmt: skip

    def _picture(self, session: Session, name: str, about: str | None = None) -> Contents:
        photo, opened = session.open(name)
        assert photo.objects is not None
        path = session.fresh("picture", ".jpg")
        path.write_bytes(as_jpeg(outlined(opened.copy, photo.objects.masks)))
        if about is None:
            count = len(photo.objects.masks)
            about = texts.about_found(opened.source, count)
            if photo.objects.changed:
                about = f"{count} {'object is' if count == 1 else 'objects are'} chosen."
        size = f"{photo.name}, {opened.size[0]} x {opened.size[1]} pixels. "
        return {
            "photo": shown(value=name, choices=[(one, one) for one in session.photos]),
            "picture": shown(value=str(path)),
            "about": texts.notice([size + about], "note"),
        }

    def _finished(
        self, session: Session, name: str | None, network: str, total: int, *, stopped: bool
    ) -> Contents:
        result = session.result
        records = [] if result is None else result.records
        text = texts.outcome(records, total, stopped=stopped)
        contents: Contents = {"progress": texts.bar(len(records), total, text)}
        good = [one.source for one in records if one.error is None]
        failed = [texts.sentence(one.error) for one in records if one.error is not None]
        contents["notice"] = texts.notice(failed)
        if result is None or not good:
            return contents
        archive = zipped(session)
        chosen = name if name in good else good[0]
        if chosen != name:
            contents |= self._picture(session, chosen)
        return {
            **contents,
            **self._result(session, chosen, network),
            "listed": shown(value=texts.listed(records), visible=len(records) > 1),
            "written": shown(value=[str(path) for path in written_files(result)]),
            "zip": shown(value=str(archive), visible=len(good) > 1),
        }

    def _result(self, session: Session, name: str, network: str) -> Contents:
        pair = Pair(session, name)
        part = pair.part()
        return {
            "result": shown(visible=True),
            "figures": self._figures(pair, network),
            "viewer": viewer(part, address),
            "moving": shown(visible=part.cut),
            **_sliders(part),
        }

    def _figures(self, pair: Pair, network: str) -> str:
        rows = texts.rows_of(pair.record)
        left = texts.sentence(pair.posted(network))
        return texts.figures([*rows, ("After a network", left[:1].upper() + left[1:])])


def _sliders(part: ShownPart) -> Contents:
    """The sliders that move the part, where it is now."""
    return {
        "across": shown(value=round(100 * part.middle[0])),
        "down": shown(value=round(100 * part.middle[1])),
    }


def _counted(total: int) -> str:
    return "the photograph" if total == 1 else f"{total} photographs"


def _work(call: Callable[[], bool], updates: queue.Queue[Update | Exception | bool]) -> None:
    """Call something and hand on how it ended."""
    try:
        updates.put(call())
    except Exception as error:
        updates.put(error)
