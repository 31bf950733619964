"""The denoising of a picture as an animated GIF: what it shows, and that nothing else depends on it."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from flows.errors import EnvironmentFault
from flows.formats.drawings import encode_gif
from flows.formats.encoding import encode_image
from flows.formats.pictures import decode
from flows.job import Job
from flows.outcome import Outcome
from flows.places.target import Target
from flows.run import run
from flows.samples.scenes import write_scenes
from flows.steps.animation import animate, marked, shrunk
from flows.steps.attempts import Attempt
from flows.steps.ladder import Masked, Rung
from removal import choose
from removal.crops.remover import CropRemover

STEPS = 3


@pytest.fixture
def scenes(tmp_path) -> Path:
    write_scenes(tmp_path / "scenes", count=2, seed=11)
    return tmp_path / "scenes"


def job(scenes: Path, **settings) -> Job:
    given = {"masks": str(scenes / "masks"), "model": "bundled", "steps": STEPS, "gif": True, "verify": False}
    return Job(source=str(scenes / "images"), target=str(scenes.parent / "out"), **given | settings)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def shown(gif: Path | bytes) -> list[np.ndarray]:
    opened = Image.open(io.BytesIO(gif) if isinstance(gif, bytes) else gif)
    return [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(opened)]


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def rows(target: Path) -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (target / "metadata.jsonl").read_text().splitlines())}


def test_it_shows_what_is_to_go_then_every_step_and_at_last_the_result_for_longer(scenes):
    run(job(scenes))
    out = scenes.parent / "out"
    gif = Image.open(out / "process" / "0001.png.gif")
    assert (gif.format, gif.size, gif.n_frames, gif.info["loop"]) == ("GIF", (128, 128), 1 + STEPS, 0)
    durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert durations == [800, *[100] * (STEPS - 1), 1500]
    first, *_, last = shown(out / "process" / "0001.png.gif")
    mask = pixels(scenes / "masks" / "0001.png")[..., 0] > 0
    image, result = pixels(scenes / "images" / "0001.png"), pixels(out / "images" / "0001.png")
    assert np.abs(first - image)[~mask].mean() < 3
    assert np.abs(first - image)[mask].mean() > 30
    assert np.abs(last - result).mean() < 3


def test_outside_the_mask_nothing_flickers(scenes):
    run(job(scenes))
    mask = pixels(scenes / "masks" / "0000.png")[..., 0] > 0
    first, *others = shown(scenes.parent / "out" / "process" / "0000.png.gif")
    assert all((frame[~mask] == first[~mask]).all() for frame in others)
    assert all((frame[mask] != first[mask]).any() for frame in others)


def test_nothing_but_the_process_depends_on_it(scenes):
    run(job(scenes, gif=False))
    without = tree(scenes.parent / "out")
    shutil.rmtree(scenes.parent / "out")
    run(job(scenes))
    having = tree(scenes.parent / "out")
    assert set(having) - set(without) == {"process/0000.png.gif", "process/0001.png.gif"}
    for name in without:
        if name.startswith(("images/", "masks/")):
            assert having[name] == without[name]


def test_two_pictures_whose_names_differ_in_the_suffix_alone_have_a_process_each(scenes):
    shutil.copy(scenes / "images" / "0001.png", scenes / "images" / "0000.bmp.png")
    Image.open(scenes / "images" / "0001.png").save(scenes / "images" / "0000.bmp")
    run(job(scenes, masks=str(scenes / "masks" / "0000.png")))
    made = {name for name in tree(scenes.parent / "out") if name.startswith("process/")}
    assert made == {f"process/{name}.gif" for name in ("0000.png", "0000.bmp", "0000.bmp.png", "0001.png")}


def test_a_finished_folder_is_left_alone_until_it_is_to_be_overwritten(scenes):
    run(job(scenes, gif=False))
    assert run(job(scenes)).tried == 0
    assert not (scenes.parent / "out" / "process").exists()
    run(job(scenes, existing="overwrite"))
    assert (scenes.parent / "out" / "process" / "0000.png.gif").exists()


def test_the_process_of_an_earlier_result_does_not_stay_beside_another(scenes):
    run(job(scenes))
    run(job(scenes, gif=False, existing="overwrite", seed=5))
    assert not any((scenes.parent / "out" / "process").iterdir())


def test_a_picture_that_breaks_takes_its_process_with_it(scenes):
    run(job(scenes))
    (scenes / "images" / "0001.png").write_bytes(b"broken now")
    run(job(scenes))
    assert [p.name for p in (scenes.parent / "out" / "process").iterdir()] == ["0000.png.gif"]


def test_a_process_that_cannot_be_drawn_is_a_warning_and_the_picture_stays(scenes, monkeypatch):
    def failing(self, image, mask, seed, *_):
        yield image
        raise RuntimeError("out of memory")

    monkeypatch.setattr(CropRemover, "process", failing)
    with pytest.warns(UserWarning, match=r"0000.png is finished, but its process could not be drawn: out of memory"):
        summary = run(job(scenes, limit=1))
    assert summary.done == {"removed": 1}
    assert set(rows(scenes.parent / "out")) == {"0000.png"}
    assert not (scenes.parent / "out" / "process").exists()


def test_a_disk_that_is_full_then_stops_the_run_and_the_next_one_draws_it(scenes, monkeypatch):
    real = Target.write

    def full(self, relative, data):
        if relative == "process/0001.png.gif":
            raise EnvironmentFault("No space left on device")
        return real(self, relative, data)

    monkeypatch.setattr(Target, "write", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        run(job(scenes))
    monkeypatch.undo()
    assert set(rows(scenes.parent / "out")) == {"0000.png"}
    assert run(job(scenes)).done == {"removed": 1}
    assert (scenes.parent / "out" / "process" / "0001.png.gif").exists()


class Noted:
    """A remover in two steps, which notes what it is asked to show."""

    choice, steps, strength = choose("sd15", "telea"), 2, 1.0

    def __init__(self):
        self.asked = []

    def __call__(self, images, masks, seeds):
        return [
            np.where(mask[..., None], 200, image).astype(np.uint8) for image, mask in zip(images, masks, strict=True)
        ]

    def process(self, image, mask, seed, avoid=None):
        self.asked.append((mask, seed))
        yield np.where(mask[..., None], (255, 0, 90), image).astype(np.uint8)
        yield from self([image], [mask], [seed])


@pytest.fixture
def attempt(tmp_path, picture):
    """A function that makes an attempt at `a/b.png`, a picture of some size, by `Noted`; and the target it is for."""

    def of(height: int, width: int, grey: bool = False) -> tuple[Target, Attempt]:
        (tmp_path / "source").mkdir()
        kept, mask = decode(encode_image(picture(height, width))), np.zeros((height, width), bool)
        mask[: height // 3, : width // 3] = True
        remover, masked = Noted(), Masked(Outcome("a/b.png", "masked"), replace(kept, grey=grey), mask)
        (result,) = remover([kept.image], [mask], [9])
        return Target(str(tmp_path / "out")), Attempt(2, Rung(remover, "asked for"), masked, 9, result)

    return of


def test_it_is_the_attempt_that_was_kept_with_its_mask_and_seed(attempt):
    target, kept = attempt(40, 60)
    animate(target, kept)
    ((mask, seed),) = kept.rung.remover.asked
    assert (mask is kept.masked.mask, seed) == (True, 9)
    assert len(shown(target.path("process/a/b.png.gif"))) == 3


def test_the_frames_of_a_grey_picture_are_grey_beside_the_mark(attempt):
    target, kept = attempt(40, 60, grey=True)
    grey = np.full((40, 60, 3), 90, np.uint8)
    kept = replace(kept, masked=replace(kept.masked, picture=replace(kept.masked.picture, image=grey)))
    animate(target, replace(kept, result=grey))
    first, *others = shown(target.path("process/a/b.png.gif"))
    assert np.ptp(first, axis=2).any()
    assert not any(np.ptp(frame, axis=2).any() for frame in others)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((700, 1400), (512, 256)), ((1024, 3), (2, 512)), ((4000, 2), (1, 512)), ((512, 512), (512, 512))],
)
def test_frames_are_at_most_512_pixels_long(attempt, shape, size):
    target, kept = attempt(*shape)
    animate(target, kept)
    assert Image.open(target.path("process/a/b.png.gif")).size == size


def test_a_small_frame_is_never_magnified_and_the_mark_is_where_the_mask_is(picture):
    image, mask = picture(30, 50), np.zeros((30, 50), bool)
    mask[4:9, 5:20] = True
    assert shrunk(image) is image
    assert ((marked(image, mask) != image).any(axis=2) == mask).all()


@pytest.mark.parametrize(("colours", "off"), [(1, 0), (2, 0), (255, 1), (256, 60), (5000, 60)])
def test_what_changes_has_255_colours_of_its_own_in_every_frame(picture, colours, off):
    rng = np.random.default_rng(colours)
    frames = [picture(90, 120) for _ in range(4)]
    for frame in frames[1:]:
        frame[10:80, 10:90] = rng.integers(0, 256, (colours, 3))[rng.integers(0, colours, (70, 80))]
    first, *seen = shown(encode_gif(frames, [100] * 4))
    for frame, back in zip(frames[1:], seen, strict=True):
        assert np.abs(frame - back)[10:80, 10:90].max() <= off
        assert (back[:, 90:] == first[:, 90:]).all()


def test_a_frame_in_which_nothing_changes_lengthens_what_is_shown(picture):
    frames = [picture(40, 40), np.zeros((40, 40, 3), np.uint8)]
    opened = Image.open(io.BytesIO(encode_gif([frames[0], *[frames[1]] * 3], [100] * 4)))
    assert sum(frame.info["duration"] for frame in ImageSequence.Iterator(opened)) == 400


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (16, 16)])
def test_a_gif_may_be_tiny_and_change_everywhere(shape):
    frames = [np.full((*shape, 3), level, np.uint8) for level in (0, 90, 200)]
    seen = shown(encode_gif(frames, [100, 100, 100]))
    assert [int(frame.mean()) for frame in seen] == [0, 90, 200]
