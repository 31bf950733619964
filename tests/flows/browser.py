"""A real browser for the pages: the Chromium of this machine, driven by Playwright, which fetches none of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.setup import system

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]  # it asks nobody
MISSING = "the pages are tested in Chromium: apt-get install chromium, or name one in CHROMIUM=/path/to/it"


def chromium() -> str:
    """The path of a Chromium. Without one these tests fail: nothing else tells whether the pages work."""
    found = system.browser()
    assert found, MISSING
    return found


@contextmanager
def started() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


class Reader:
    """Somebody who reads a page. Remembers what the page asked for, and what it complained of."""

    def __init__(self, browser: Browser, page: Path | str, **options: Any):
        self.context = browser.new_context(
            accept_downloads=True, **({"viewport": {"width": 1100, "height": 800}} | options)
        )
        self.address = page.as_uri() if isinstance(page, Path) else page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.tab = self.open()

    def open(self) -> Page:
        """The page in a tab of its own, of the same person: with what the browser keeps for it."""
        tab = self.context.new_page()
        tab.on("request", lambda request: self.asked.append(request.url))
        tab.on("console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.goto(self.address)
        tab.wait_for_selector("body[data-taken]", timeout=60_000)
        return tab

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def names(self) -> list[str]:
        return self.tab.locator(".card h2").all_text_contents()

    def card(self, name: str) -> Locator:
        return self.tab.locator(".card").filter(has=self.tab.get_by_role("heading", name=name, exact=True))

    def current(self) -> str:
        return self.tab.locator(".card[aria-current] h2").text_content() or ""

    def find(self, name: str) -> None:
        """Leave only the cards with this in their name."""
        self.tab.fill("#by-name", name)
        self.press("Escape")

    def download(self) -> str:
        """What the button gives."""
        with self.tab.expect_download() as taken:
            self.tab.click("#save")
        return Path(taken.value.path()).read_text()

    def download_closed(self) -> str:
        """The same, out of the zoom."""
        self.press("Escape")
        return self.download()

    def elsewhere(self) -> list[str]:
        """What the page asked for that is no file beside it."""
        here = ("file:" if self.address.startswith("file:") else self.address.rpartition("/")[0], "data:", "blob:")
        return [url for url in self.asked if not url.startswith(here)]

    def close(self) -> None:
        self.context.close()
