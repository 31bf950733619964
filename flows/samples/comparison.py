"""Compares methods: one picture per image, with a column per method and figures under it."""

from __future__ import annotations

import json
import tempfile
import textwrap
import time
from collections.abc import Callable

import cv2
import numpy as np

from flows.errors import UsageError
from flows.formats.drawings import mask_in_white
from flows.formats.encoding import encode_image
from flows.formats.mask_files import decode_mask
from flows.formats.pictures import container_of, decode
from flows.job import Job
from flows.ledger.tables import LEDGER
from flows.places.folders import Folders, open_folders
from flows.places.one_file import to_one_file
from flows.preflight import explain
from flows.requests.job_requests import read_requests
from flows.steps import protection
from flows.steps.attempts import picture_seed
from flows.steps.find_masks import find_masks
from flows.steps.introduction import introduction
from flows.steps.loading import load
from flows.steps.needed_weights import missing, refuse_unreachable
from removal import load_remover
from removal.removers import ChosenRemover, with_effects
from removal.verify import Fit, fit

WIDEST = 512  # pixels of a column
CAPTION, LINE, LETTER = 84, 18, 8  # pixels of the text's height, of a line, of a letter's width
IN_MEMORY = 8  # pictures
NUMBERS = "comparison.jsonl"


class SayOnce:
    """Says the messages of `explain` about several methods, each sentence once."""

    def __init__(self, say: Callable[[str], None]):
        self.say, self.said = say, set[str]()

    def __call__(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            self.say(message)


def compare(job: Job, methods: list[str], say: Callable[[str], None]) -> list[dict]:
    """Write TARGET/<name>.png for every picture of the job: original, mask, and one column per method.

    Returns a row per picture and method, which also stand in TARGET/comparison.jsonl. Of one picture, and a path that
    ends as a picture's, the target is that one file, and the rows stand in TARGET.cleanplate. A picture that cannot be
    read, or in which nothing is found, gets no columns and a line in `say`. Raises UsageError for what cannot work, and
    for files in the way that no comparison has written.
    """
    job = job.model_copy(update={"target": to_one_file(job).target})
    folders, requests = open_folders(job.source, job.target), read_requests(job)
    there = folders.survey()
    names = there.names[: job.limit or None]
    earlier = _earlier(folders)
    _refuse_others(folders, names, earlier)
    once = SayOnce(say)
    for method in methods:
        own = job.model_copy(update={"method": method})
        explain(own, requests, once, masks_only=False)
        once(introduction(own))
        refuse_unreachable(own, missing(own))
    for name, reason in sorted(there.barred.items()):
        say(f"{name}: failed ({reason})")
    rows: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as masks:
        looking = job.model_copy(update={"target": masks})
        looked = open_folders(job.source, masks)
        for first in range(0, len(names), IN_MEMORY):
            found = find_masks(looking, names[first : first + IN_MEMORY])
            for outcome in found:
                if outcome.status != "masked":
                    say(f"{outcome.source}: {outcome.status}{f' ({outcome.reason})' if outcome.reason else ''}")
            ready = [outcome for outcome in found if outcome.status == "masked"]
            mask = {o.source: decode_mask(looked.target.read(looked.target.mask(o.source))) for o in ready}
            kept = {name: protection.recall(looked.target, name, mask[name].shape) for name in mask}
            more, drawn = _portion(job, folders, methods, {o.source: o.sha256_in or "" for o in ready}, mask, kept)
            rows += more
            _write(folders, drawn, [*(row for row in earlier if row["source"] not in names), *rows])
    return rows


def _portion(
    job: Job,
    folders: Folders,
    methods: list[str],
    hashes: dict[str, str],
    masks: dict[str, np.ndarray],
    protected: dict[str, np.ndarray | None],
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The rows of some pictures, and their columns side by side."""
    images = {name: decode(folders.source.read(name, job.max_pixels), job.max_pixels).image for name in hashes}
    columns = {
        name: [_column(image, "original"), _column(mask_in_white(masks[name]), "mask")]
        for name, image in images.items()
    }
    rows: list[dict] = []
    for method in methods if images else ():
        remover = _remover(job, method)
        began = time.monotonic()
        seeds = [picture_seed(job.seed, digest) for digest in hashes.values()]
        avoid = [protected[name] for name in images] if job.protect else None
        results = with_effects(remover, [*images.values()], [masks[name] for name in images], seeds, avoid)
        seconds = (time.monotonic() - began) / len(images)
        for name, (result, mask) in zip(images, results, strict=True):
            fits = fit(result, mask)
            columns[name].append(_column(result, *_words(method, remover.choice.method, fits, seconds)))
            figures = {"strange": fits.strange, "seam": fits.seam, "texture": fits.texture, "doubt": fits.doubt}
            rounded = {key: round(value, 3) for key, value in figures.items()}
            rows.append({"source": name, "method": method, **rounded, "seconds": round(seconds, 4)})
    return rows, {name: np.hstack(drawn) for name, drawn in columns.items()}


def _write(folders: Folders, drawn: dict[str, np.ndarray], rows: list[dict]) -> None:
    """The rows first: they say which files are a comparison's, also after an interruption."""
    folders.target.write(NUMBERS, "".join(json.dumps(row) + "\n" for row in rows).encode())
    for name, image in drawn.items():
        if file := folders.result_file:
            file.write(encode_image(image, container_of(file.name)))
        else:
            folders.target.write(f"{name}.png", encode_image(image))


def _earlier(folders: Folders) -> list[dict]:
    """The rows of an earlier comparison in this target; none where there was none, or nobody can read them."""
    try:
        return [
            row | {"source": str(row["source"])} for row in map(json.loads, folders.target.read(NUMBERS).splitlines())
        ]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return []


def _refuse_others(folders: Folders, names: list[str], earlier: list[dict]) -> None:
    """Raises UsageError where a file would be overwritten that no comparison has written, such as somebody's mask."""
    ours, file = {row["source"] for row in earlier}, folders.result_file
    if file and not ours and (file.exists() or folders.target.has(LEDGER)):
        raise UsageError(f"{file.address} is not a comparison, and is not overwritten; give another name")
    for name in names:
        if not file and name not in ours and folders.target.has(f"{name}.png"):
            raise UsageError(
                f"{name}.png in {folders.target.address} is not a comparison, and is not overwritten; give another "
                "target"
            )


def _remover(job: Job, method: str) -> ChosenRemover:
    return load(lambda: load_remover(job.model, **job.remover_options | {"method": method}))


def _words(method: str, chosen: str, fits: Fit, seconds: float) -> tuple[str, str]:
    title = method if method == chosen else f"{method}: {chosen}"
    judged = f"fits its surroundings: doubt {fits.doubt:.2f} (above 1 it is doubtful)"
    return f"{title}, {seconds:.1f} s", f"doubtful: {fits.reasons[0]}" if fits.reasons else judged


def _column(image: np.ndarray, *lines: str) -> np.ndarray:
    """An image at most WIDEST wide, with lines of text under it and a white margin on its right."""
    height, width = image.shape[:2]
    if width > WIDEST:
        image = cv2.resize(image, (WIDEST, max(1, round(height * WIDEST / width))), interpolation=cv2.INTER_AREA)
    room = max(image.shape[1], 250) + 6  # narrower columns would have too little room for a reason
    drawn = np.full((image.shape[0] + CAPTION, room, 3), 255, np.uint8)
    drawn[: image.shape[0], : image.shape[1]] = image
    parts = [part for line in lines for part in textwrap.wrap(line, room // LETTER)]
    for number, part in enumerate(parts):
        place = (2, image.shape[0] + LINE * (number + 1))
        cv2.putText(drawn, part, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return drawn
