"""A headless browser for the tests of pages: Chromium of the system, driven by playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.report_cases import CHROMIUM

DRIVER_NOTES = "GL Driver Message"  # of the software renderer about its own speed


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium, with WebGL 2 in software; skip the test if it or playwright is missing."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed, so no page is opened")
    api = pytest.importorskip("playwright.sync_api")
    arguments = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


class Visit:
    """A page of a file or an address, with what it wrote to the console and what it requested.

    `started` is a browser or one of its contexts, whose pages share their cookies.
    """

    def __init__(self, started: Any, place: Path | str, script: str = "", **options: Any) -> None:
        self.page = started.new_page(**options)
        self.page.set_default_timeout(60_000)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self._note(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        if script:
            self.page.add_init_script(script)
        self.page.goto(place.as_uri() if isinstance(place, Path) else place)

    def _note(self, text: str) -> None:
        if DRIVER_NOTES not in text:
            self.messages.append(text)

    def pixels(self, scratch: Path, selector: str) -> np.ndarray:
        """Return a screenshot of an element: [rows, columns, 3], 0 to 255."""
        shot = scratch / "element.png"
        self.page.locator(selector).first.screenshot(path=shot)
        return np.asarray(Image.open(shot).convert("RGB")).astype(int)


def serious_faults(page: Any) -> list[tuple[str, list[str]]]:
    """Return the serious findings of axe about the accessibility of a page as it is now."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in axe.run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
