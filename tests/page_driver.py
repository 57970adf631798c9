"""A page of ``unseg ui`` in a process of its own, and a headless Chromium that looks at it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Seconds to wait for anything on a busy machine.
PATIENCE = 240

#: Put into the page's process: it may talk to this computer, and what it asks of others is told.
BLOCKED = """
import os, socket

def _refuse(name, real):
    def call(*arguments, **options):
        texts = [str(one) for one in arguments if not isinstance(one, socket.socket)]
        if any(own in text for text in texts for own in ("127.0.0.1", "localhost")):
            return real(*arguments, **options)
        with open(os.environ["UNSEG_TEST_ASKED"], "a") as log:
            log.write(f"{name} {texts}\\n")
        raise OSError(101, "Network is unreachable")
    return call

for _name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, _name, _refuse(_name, getattr(socket.socket, _name)))
for _name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, _name, _refuse(_name, getattr(socket, _name)))
"""


def chromium() -> tuple[str, str]:
    """The browser and its driver; skips where one is missing."""
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    pytest.importorskip("selenium", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium-driver)")
    return browser, driver


@contextmanager
def page(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """A page that is served.

    Yields:
        Its address, the folder that its temporary files are in, and a file that tells what it
        asked the network for.
    """
    temporary, blocks, asked = folder / "tmp", folder / "blocks", folder / "asked.txt"
    temporary.mkdir()
    blocks.mkdir()
    (blocks / "sitecustomize.py").write_text(BLOCKED)
    environment = dict(os.environ)
    paths = [str(blocks), environment.get("PYTHONPATH", "")]
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "UNSEG_TEST_ASKED": str(asked),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
    }
    line = [sys.executable, "-m", "unseg", "ui", "--port", "0", "--no-browser", "--device", "cpu"]
    log = folder / "page.log"
    with log.open("w") as stream:
        server = subprocess.Popen(line, env=environment, stdout=stream, stderr=stream)
    try:
        wait(lambda: "Ctrl-C" in log.read_text() or server.poll() is not None, "the page is served")
        text = log.read_text()
        assert server.poll() is None, text
        [address] = [word for word in text.split() if word.startswith("http://")]
        yield address, temporary, asked
        assert server.poll() is None, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def wait(found: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s, and not: {what}")


class Browser:
    """One window.

    Args:
        address: of the page.
        downloads: folder for what is downloaded.
    """

    def __init__(self, address: str, downloads: Path) -> None:
        from selenium.webdriver import Chrome, ChromeOptions
        from selenium.webdriver.chrome.service import Service

        browser, driver = chromium()
        self.address, self.downloads = address, downloads
        options = ChromeOptions()
        options.binary_location = browser
        for flag in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
        ):  # fmt: skip
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        self.chrome = Chrome(options=options, service=Service(driver))

    def load(self, width: int = 1400) -> None:
        """Load the page anew, as another visitor.

        Args:
            width: of the window, in pixels.
        """
        # Requests of a page that is left break off; that is no complaint of the next one.
        self.chrome.get("about:blank")
        self.complaints()
        self.resize(width)
        self.chrome.get(self.address)
        self.element("#unseg-files input[type=file]", shown=False)

    def resize(self, width: int, height: int = 1000) -> None:
        """Make the window so large; below 500 pixels as on a telephone."""
        self.chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )

    def element(self, selector: str, *, shown: bool = True) -> Any:
        """The first element that is there, waited for."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.common.by import By

        def found() -> Any:
            try:
                return [
                    one
                    for one in self.chrome.find_elements(By.CSS_SELECTOR, selector)
                    if not shown or one.is_displayed()
                ]
            except StaleElementReferenceException:
                return []

        return wait(found, f"{selector} is there")[0]

    def text(self, selector: str) -> str:
        """Text of an element, or nothing where it is not there."""
        return self.chrome.execute_script(
            "const one = document.querySelector(arguments[0]);"
            "return one && one.checkVisibility() ? one.innerText : ''", selector,
        )  # fmt: skip

    def says(self, selector: str, text: str) -> str:
        """Wait until an element says something; returns all that it says."""
        wait(lambda: text in self.text(selector), f"{selector} says {text!r}")
        return self.text(selector)

    def press(self, name: str) -> None:
        """Click on a control, by the end of its id."""
        one = self.element(f"button#unseg-{name}, #unseg-{name} button")
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", one)
        one.click()

    def choose(self, name: str, value: str) -> None:
        """Choose one of some, by the end of the id and the value."""
        one = self.element(f"#unseg-{name} input[value={value}]", shown=False)
        self.chrome.execute_script("arguments[0].click()", one)

    def drop(self, files: Sequence[Path]) -> None:
        """Drop files on the page, as from a window beside it."""
        place = self.chrome.execute_script(
            "const box = document.querySelector('#unseg-files button').getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]"
        )
        data = {"items": [], "files": [str(one) for one in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.chrome.execute_cdp_cmd(
                "Input.dispatchDragEvent",
                {"type": kind, "x": place[0], "y": place[1], "data": data},
            )

    def picture(self) -> str:
        """Address of the picture with the outlines."""
        return self.chrome.execute_script(
            "const one = document.querySelector('#unseg-picture img'); return one ? one.src : ''"
        )

    def click_at(self, x: float, y: float) -> float:
        """Click on the picture, at a place in its own pixels; returns the seconds to the answer."""
        from selenium.webdriver.common.action_chains import ActionChains

        image, before = self.element("#unseg-picture img"), self.picture()
        wait(lambda: self.chrome.execute_script("return arguments[0].naturalWidth", image),
             "the picture is loaded")  # fmt: skip
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
        self.chrome.execute_script(
            "document.addEventListener('click', () => { window.clicked = performance.now(); "
            "window.answered = 0; const look = () => { const one = "
            "document.querySelector('#unseg-picture img'); if (one && one.src !== arguments[0] && "
            "one.complete) window.answered = performance.now(); else setTimeout(look, 5); }; "
            "look(); }, {capture: true, once: true})", before,
        )  # fmt: skip
        sides = self.chrome.execute_script(
            "const i = arguments[0];"
            "return [i.naturalWidth, i.naturalHeight, i.clientWidth, i.clientHeight]", image,
        )  # fmt: skip
        ActionChains(self.chrome).move_to_element_with_offset(
            image, (x + 0.5 - sides[0] / 2) * sides[2] / sides[0],
            (y + 0.5 - sides[1] / 2) * sides[3] / sides[1],
        ).click().perform()  # fmt: skip
        wait(lambda: self.chrome.execute_script("return window.answered"), "the click is answered")
        return self.chrome.execute_script("return (answered - clicked) / 1000")

    def protect(self) -> None:
        """Press Protect and wait for the result, which an earlier one may look like."""
        self.chrome.execute_script(
            "document.querySelectorAll('#unseg-progress p').forEach(one => one.innerText = '')"
        )
        self.press("protect")
        self.says("#unseg-progress", "protected.")
        self.element("#unseg-viewer .unseg-original")

    def download(self, selector: str) -> bytes:
        """Click on a link or button and wait for the file."""
        before = set(self.downloads.iterdir())
        one = self.element(selector)
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", one)
        one.click()

        def fresh() -> list[Path]:
            found = set(self.downloads.iterdir()) - before
            return [one for one in found if one.suffix != ".crdownload"
                    and not one.name.startswith(".")]  # fmt: skip

        [path] = wait(fresh, "the file is downloaded")
        return path.read_bytes()

    def requests(self) -> list[str]:
        """Addresses of everything that was asked for since the last call."""
        found = []
        for entry in self.chrome.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}:
                parameters = message["params"]
                found.append(parameters.get("url") or parameters["request"]["url"])
        return found

    def complaints(self) -> list[str]:
        """What the browser's console says is wrong; that a page left its server is not."""
        return [
            one["message"]
            for one in self.chrome.get_log("browser")
            if one["level"] == "SEVERE" and "AbortError" not in one["message"]
        ]

    def close(self) -> None:
        """Close the window."""
        self.chrome.quit()
