"""The review page as the README shows it: `python -m tests.benchmarks.screenshot tests/readme/review.png`.

Cleans sample scenes with the bundled model, each doubtful one twice, and photographs the page in Chromium. One picture
is accepted, one rejected, and one shows its mask.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from flows.job import Job
from flows.run import run
from flows.samples.scenes import write_scenes
from tests.flows.browser import Reader, started

WINDOW = {"width": 1180, "height": 800}


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        scenes, target = Path(place) / "scenes", Path(place) / "cleaned"
        write_scenes(scenes, given.count, given.seed)
        prompts = str(scenes / "prompts.jsonl")
        run(Job(source=str(scenes / "images"), target=str(target), prompts=prompts, model="bundled", tries=2))
        with started() as browser:
            page = Reader(browser, target / "report.html", viewport=WINDOW)
            page.tab.locator("#cards").focus()
            page.press("r", "a", "m")
            page.tab.evaluate("scrollTo(0, 0)")
            page.tab.screenshot(path=given.picture)


if __name__ == "__main__":
    main()
