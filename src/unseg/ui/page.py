"""The page: its controls, and which action each of them calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from unseg.errors import UnsegError
from unseg.images.photo import MAX_PIXELS
from unseg.protect.posted import DEFAULT_PLATFORM, PLATFORMS
from unseg.ui import texts
from unseg.ui.actions import Actions, Contents, said
from unseg.ui.limits import ALL_BYTES, FILE_BYTES, PHOTOS, megabytes

TITLE = "unseg"
_ABOUT = (
    "Adds a small noise to photographs, so that segmentation models that train on them learn the "
    "noise instead of the objects. Nothing leaves this computer."
)
_NETWORKS = {
    "feed": "a feed", "large": "a large picture", "messenger": "a messenger",
    "preview": "a preview", "gallery": "a gallery",
}  # fmt: skip

_LIMITS = (
    f"Each up to {megabytes(FILE_BYTES)} and {MAX_PIXELS // 1_000_000} megapixels, {PHOTOS} "
    f"photographs and {megabytes(ALL_BYTES)} at a time."
)

Update = dict[Any, Any]


def theme() -> gr.themes.Base:
    """A plain theme of system fonts: none is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.gray,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"],
        font_mono=["ui-monospace", "DejaVu Sans Mono", "monospace"],
    )


class Page:
    """The controls by name, and the calls that they make.

    Args:
        actions: what the controls do.
    """

    def __init__(self, actions: Actions) -> None:
        self.actions = actions
        self.parts: dict[str, Any] = {}
        with gr.Blocks(title=TITLE, analytics_enabled=False) as self.blocks:
            self._layout()
            self._calls()

    def _layout(self) -> None:
        part = self.parts
        gr.HTML(f"<h1>{TITLE}</h1><p>{_ABOUT}</p>", elem_id="unseg-head")
        part["notice"] = gr.HTML("", elem_id="unseg-notice")
        gr.HTML(_step("Drop photographs.", _LIMITS))
        part["files"] = gr.File(
            file_count="multiple", type="filepath", height=120, elem_id="unseg-files",
            show_label=False, label="Photographs",
        )  # fmt: skip
        with gr.Column(visible=False, elem_id="unseg-choosing") as part["choosing"]:
            with gr.Row(visible=False, elem_id="unseg-several") as part["several"]:
                part["photo"] = gr.Dropdown(
                    [], label="Photograph", scale=3, min_width=260, filterable=False,
                    elem_id="unseg-photo",
                )  # fmt: skip
                part["drop"] = gr.Button(
                    "Take this one out", scale=1, min_width=200, elem_id="unseg-drop"
                )
            with gr.Row(equal_height=False):
                self._objects()
                self._choices()
        with gr.Column(visible=False, elem_id="unseg-result") as part["result"]:
            self._result()

    def _objects(self) -> None:
        part = self.parts
        with gr.Column(scale=3, min_width=320):
            gr.HTML(_step("Click on an object to add it, on an outlined one to remove it."))
            part["picture"] = gr.Image(
                interactive=False, show_label=False, buttons=[],
                elem_id="unseg-picture", alt_text="your photograph, with outlines around what is "
                "chosen",
            )  # fmt: skip
            part["about"] = gr.HTML("", elem_id="unseg-about")
            with gr.Row():
                part["undo"] = gr.Button("Undo", size="sm", min_width=90, elem_id="unseg-undo")
                part["restart"] = gr.Button(
                    "Start over", size="sm", min_width=90, elem_id="unseg-restart"
                )
                part["clear"] = gr.Button(
                    "Choose nothing", size="sm", min_width=90, elem_id="unseg-clear"
                )

    def _choices(self) -> None:
        part = self.parts
        with gr.Column(scale=2, min_width=300):
            part["visibility"] = gr.Radio(
                [
                    ("Low: not seen, even when flickering", "low"),
                    ("Normal: not seen side by side", "normal"),
                    ("Strong: all of the noise, may be seen", "strong"),
                ],
                value="normal", label="Visibility", elem_id="unseg-visibility",
            )  # fmt: skip
            part["format"] = gr.Radio(
                [("PNG, which loses nothing", "png"), ("JPEG, smaller", "jpeg")],
                value="png", label="Files", elem_id="unseg-format",
            )  # fmt: skip
            part["strip"] = gr.Radio(
                [
                    ("Keep", "none"),
                    ("Leave out where it was taken", "gps"),
                    ("Leave out everything", "all"),
                ],
                value="none", label="What files tell (EXIF)", elem_id="unseg-strip",
            )  # fmt: skip
            part["protect"] = gr.Button("Protect", variant="primary", elem_id="unseg-protect")
            part["stop"] = gr.Button("Stop", variant="stop", visible=False, elem_id="unseg-stop")
            part["progress"] = gr.HTML("", elem_id="unseg-progress")
            part["forget"] = gr.Button(
                "Delete all from this page", size="sm", elem_id="unseg-forget"
            )

    def _result(self) -> None:
        part = self.parts
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                part["figures"] = gr.HTML("", elem_id="unseg-figures")
                part["listed"] = gr.HTML("", visible=False, elem_id="unseg-listed")
            with gr.Column(scale=2, min_width=300):
                part["network"] = gr.Dropdown(
                    [(f"{_NETWORKS[name]} ({one})", name) for name, one in PLATFORMS.items()],
                    value=DEFAULT_PLATFORM, label="Network", filterable=False,
                    elem_id="unseg-network",
                )  # fmt: skip
                part["written"] = gr.File(
                    file_count="multiple", interactive=False, label="Protected photographs",
                    height=150, elem_id="unseg-written",
                )  # fmt: skip
                part["zip"] = gr.DownloadButton(
                    "Download all as a zip", visible=False, elem_id="unseg-zip"
                )
        part["viewer"] = gr.HTML("", elem_id="unseg-viewer")
        with gr.Row(visible=False, elem_id="unseg-moving") as part["moving"]:
            part["across"] = gr.Slider(
                0, 100, 50, step=1, label="Part, from left to right", buttons=[],
                elem_id="unseg-across",
            )  # fmt: skip
            part["down"] = gr.Slider(
                0, 100, 50, step=1, label="Part, from top to bottom", buttons=[],
                elem_id="unseg-down",
            )  # fmt: skip

    def _calls(self) -> None:
        part, act = self.parts, self.actions
        picture = ("photo", "picture", "about")
        listing = ("photo", "several", "choosing")
        result = ("result", "figures", "viewer", "moving", "across", "down")
        self._on(part["files"].upload, act.upload, ["files"],
                 ["files", *listing, *picture], progress="full")  # fmt: skip
        self._on(part["photo"].input, act.look, ["photo", "network"], [*picture, *result])
        self._on(part["drop"].click, act.drop, ["photo", "network"],
                 [*listing, *picture, *result, "progress"])  # fmt: skip
        self._on(part["forget"].click, act.forget, [],
                 [*listing, "picture", "about", "progress", "result"])  # fmt: skip
        part["picture"].select(
            self._clicked, [part["photo"]], self._outputs(picture), **_options("hidden")
        )
        for name in ("undo", "restart", "clear"):
            self._on(part[name].click, getattr(act, name), ["photo"], picture, progress="hidden")
        part["protect"].click(
            self._protecting,
            [part[one] for one in ("photo", "network", "visibility", "format", "strip")],
            self._outputs([*picture, *result, "progress", "protect", "stop", "listed", "written",
                           "zip"]),
            **_options("hidden"), concurrency_limit=1,
        )  # fmt: skip
        self._on(part["stop"].click, act.stop, [], ["stop"], progress="hidden", queue=False)
        for name in ("across", "down"):
            self._on(part[name].release, act.part, ["photo", "network", "across", "down"],
                     ["viewer"], progress="minimal")  # fmt: skip
        self._on(part["network"].input, act.posted, ["photo", "network"], ["figures"],
                 progress="minimal")  # fmt: skip
        self.blocks.load(self._opened, show_progress="hidden", api_visibility="private")
        self.blocks.unload(self._closed)

    def _outputs(self, names: Sequence[str]) -> list[Any]:
        return [self.parts[name] for name in dict.fromkeys((*names, "notice"))]

    def _on(
        self,
        event: Callable[..., Any],
        action: Callable[..., Contents],
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        progress: str = "minimal",
        **options: Any,
    ) -> None:
        """Call an action at an event."""

        def call(request: gr.Request, *values: Any) -> Update:
            return self._told(lambda: action(request.session_hash, *values))

        event(
            call, [self.parts[name] for name in inputs], self._outputs(outputs),
            **_options(progress), **options,
        )  # fmt: skip

    def _clicked(self, request: gr.Request, event: gr.SelectData, name: str | None) -> Update:
        key, place = request.session_hash or "", event.index
        return self._told(lambda: self.actions.click(key, place, name))

    def _protecting(self, request: gr.Request, *values: Any) -> Iterator[Update]:
        try:
            yield self._named({"notice": ""})
            for contents in self.actions.protect(request.session_hash or "", *values):
                yield self._named(contents)
        except Exception as error:
            yield self._named({"notice": texts.notice([said(error)])})

    def _opened(self, request: gr.Request) -> None:
        # From now on uploads may be on their way that belong to somebody. Who reloads the page at
        # once has closed it before this is called.
        with suppress(UnsegError):
            self.actions.sessions.get(request.session_hash)

    def _closed(self, request: gr.Request) -> None:
        self.actions.sessions.close(request.session_hash)

    def _told(self, action: Callable[[], Contents]) -> Update:
        """What an action shows; of an error a sentence."""
        try:
            return self._named({"notice": "", **action()})
        except Exception as error:
            return self._named({"notice": texts.notice([said(error)])})

    def _named(self, contents: Contents) -> Update:
        return {self.parts[name]: value for name, value in contents.items()}


def _step(text: str, more: str = "") -> str:
    """What to do next, and a quieter remark."""
    return f'<p class="unseg-step">{text} <span>{more}</span></p>'


def _options(progress: str) -> dict[str, Any]:
    """How every event is wired: nothing is offered to other programs."""
    return {"show_progress": progress, "api_visibility": "private", "show_progress_on": None}
