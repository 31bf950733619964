"""Work beside the model: what runs at the same time, in which order it comes, and how it ends. No clock decides."""

import errno
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from flows.errors import EnvironmentFault
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.places.folders import open_folders
from flows.places.source import LocalSource
from flows.places.target import Target
from flows.run import Silent, run
from flows.steps import find_masks as finding
from flows.steps import remove_masked as removing
from flows.steps.find_masks import find_masks
from flows.steps.remove_masked import remove_masked
from flows.threads.pipeline import ahead, threads
from masks import Found
from removal import choose

LONG = 60  # seconds after which something that had to happen at the same time did not


@pytest.fixture(autouse=True)
def no_threads_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_results_come_in_the_order_of_their_source_however_long_each_takes(pool):
    later = threading.Event()

    def work(number: int) -> int:
        assert number or later.wait(LONG)  # the first waits for the fourth
        if number == 3:
            later.set()
        return -number

    assert list(ahead(pool, work, range(20), 5)) == [-number for number in range(20)]


def test_a_source_shorter_than_the_depth_and_an_empty_one_give_what_they_have(pool):
    assert list(ahead(pool, str, range(2), 9)) == ["0", "1"]
    assert list(ahead(pool, str, [], 9)) == []


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_no_more_is_taken_from_the_source_than_the_depth_allows(pool, depth):
    taken = []
    source = (taken.append(number) or number for number in range(30))
    for done, _ in enumerate(ahead(pool, str, source, depth), start=1):
        assert len(taken) == min(done + depth, 30)


def test_work_goes_on_while_the_source_makes_its_next(pool):
    worked = threading.Event()

    def source():
        yield 1
        assert worked.wait(LONG)
        yield 2

    assert list(ahead(pool, lambda number: worked.set() or number, source(), 1)) == [1, 2]


def test_work_goes_on_while_the_caller_has_another(pool):
    seen = [threading.Event() for _ in range(4)]
    for number in ahead(pool, lambda number: seen[number].set() or number, range(4), 2):
        assert all(one.wait(LONG) for one in seen[: number + 3])


def test_a_failure_comes_in_its_place_and_nothing_is_begun_after_it(pool):
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("the third")
        return number

    found = []
    with pytest.raises(ValueError, match="the third"):
        all_into(found, ahead(pool, work, range(100), 4))
    assert found == [0, 1, 2]
    assert max(begun) <= 3 + 4


def all_into(found: list, results) -> None:
    """Keep what comes before a failure."""
    for one in results:
        found.append(one)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, EnvironmentFault("full")])
def test_what_ends_the_source_comes_after_what_it_gave_before(pool, trouble):
    def source():
        yield from range(5)
        raise trouble

    found = []
    with pytest.raises(trouble if isinstance(trouble, type) else type(trouble)):
        all_into(found, ahead(pool, lambda number: number, source(), 3))
    assert found == [0, 1, 2, 3, 4]


def test_a_caller_who_stops_waits_for_what_is_begun_and_no_longer(pool):
    go, begun, ended = threading.Event(), [], []

    def work(number: int) -> int:
        begun.append(number)
        assert number == 0 or go.wait(LONG)
        ended.append(number)
        return number

    results = ahead(pool, work, range(100), 20)
    assert next(results) == 0
    threading.Timer(0.05, go.set).start()
    results.close()
    assert sorted(begun) == sorted(ended)
    assert len(begun) <= 1 + 2 * 4  # those that were at it, and what they could take before they were told


def test_the_threads_end_with_their_block_also_when_it_fails():
    def fails() -> None:
        with threads() as pool:
            for _ in ahead(pool, str, range(9), 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()


class Watched:
    """A remover that does nothing but call somebody: `during(call, images)`, with the number of the call from 1."""

    choice, steps, strength = choose("sd15", "telea"), None, None

    def __init__(self, during: Callable[[int, list], object] = lambda *_: None):
        self.during, self.calls = during, []

    def __call__(self, images, masks, seeds):
        self.calls.append(len(images))
        self.during(len(self.calls), images)
        return [np.where(mask[..., None], 9, image).astype(np.uint8) for image, mask in zip(images, masks, strict=True)]


@pytest.fixture
def job(tmp_path, picture) -> Callable[..., Job]:
    """A function that makes a job over so many pictures with a mask each."""

    def of(pictures: int, **settings) -> Job:
        mask = np.zeros((24, 32), bool)
        mask[8:14, 10:20] = True
        for number in range(pictures):
            for folder, data in (
                ("images", encode_image(picture(24, 32) + np.uint8(number))),
                ("masks", encode_mask(mask)),
            ):
                (tmp_path / folder).mkdir(exist_ok=True)
                (tmp_path / folder / name(number)).write_bytes(data)
        places = {"source": tmp_path / "images", "target": tmp_path / "out", "masks": tmp_path / "masks"}
        given = {"model": "bundled", "method": "telea", "verify": False}
        return Job(**{key: str(path) for key, path in places.items()} | given | settings)

    return of


def name(number: int) -> str:
    return f"p{number:02}.png"


@pytest.fixture
def remover(monkeypatch) -> Callable[..., Watched]:
    """A function that puts a watched remover in the place of the real one."""

    def put(*during) -> Watched:
        watched = Watched(*during)
        monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: watched)
        return watched

    return put


def masked(job: Job) -> list:
    return find_masks(job, open_folders(job.source, job.target).names())


def published(job: Job) -> list[str]:
    return sorted(path.name for path in (Path(job.target) / "images").glob("*"))


def test_the_next_group_is_read_and_decoded_while_the_model_is_at_one(job, remover, monkeypatch):
    second = threading.Semaphore(0)

    def watched_decode(data: bytes, *limit: int):
        picture = decode(data, *limit)
        if picture.image[0, 0, 0] in beyond:
            second.release()
        return picture

    work = job(16)
    rows = masked(work)
    firsts = [int(decode((Path(work.source) / name(number)).read_bytes()).image[0, 0, 0]) for number in range(16)]
    beyond = set(firsts[8:])
    monkeypatch.setattr(removing, "decode", watched_decode)
    seen = []
    remover(lambda call, _: call > 1 or seen.extend(second.acquire(timeout=LONG) for _ in range(8)))
    assert [row.status for row in remove_masked(work, rows)] == ["removed"] * 16
    assert seen == [True] * 8


def test_the_last_group_is_published_while_the_model_is_at_the_next(job, remover, monkeypatch):
    work = job(16)
    rows, written, real = masked(work), threading.Semaphore(0), Target.write

    def write(self, relative, data):
        saved = real(self, relative, data)
        written.release()
        return saved

    monkeypatch.setattr(Target, "write", write)
    seen = []
    remover(lambda call, _: call == 1 or seen.extend(written.acquire(timeout=LONG) for _ in range(8)))
    assert len(list(remove_masked(work, rows))) == 16
    assert seen == [True] * 8


def test_rows_come_in_order_each_when_its_picture_is_published(job, remover):
    work = job(20)
    (Path(work.source) / name(5)).write_bytes(b"broken now")  # which is no longer what the mask was made for
    rows = masked(work)
    (Path(work.source) / name(9)).write_bytes(b"changed")
    watched = remover()
    for number, row in enumerate(remove_masked(work, [row for row in rows if row.status == "masked"])):
        assert row.source == name(number + (number >= 5))
        assert (row.source in published(work)) == (row.status == "removed")
        assert row.status == ("failed" if row.source == name(9) else "removed")
    assert watched.calls == [8, 7, 3]


def test_at_most_three_groups_are_in_memory(job, remover, monkeypatch):
    decoded: list[weakref.ref] = []
    most = []

    def watched_decode(data: bytes, *limit: int):
        picture = decode(data, *limit)
        decoded.append(weakref.ref(picture.image))
        return picture

    def look(*_) -> None:
        most.append(sum(one() is not None for one in decoded))

    work = job(64)
    rows = masked(work)
    monkeypatch.setattr(removing, "decode", watched_decode)
    remover(look)
    for _ in remove_masked(work, rows):
        look()
    assert max(most) <= 3 * 8 + 8  # and what a thread has decoded to compare it with what was written


@pytest.mark.parametrize(("batch", "groups"), [(1, [8, 8, 8, 6]), (3, [9, 9, 9, 3]), (16, [16, 14]), (8, [8, 8, 8, 6])])
def test_a_group_fills_whole_batches_of_a_remover_that_has_them(job, remover, batch, groups):
    work = job(30)
    watched = remover()
    watched.batch_size = batch
    list(remove_masked(work, masked(work)))
    assert watched.calls == groups


def test_a_group_is_of_fewer_pictures_where_they_are_large(job, remover, monkeypatch):
    monkeypatch.setattr(removing, "MOST_PIXELS", 3 * 24 * 32 + 1)
    work = job(8)
    watched = remover()
    list(remove_masked(work, masked(work)))
    assert watched.calls == [3, 3, 2]
    monkeypatch.setattr(removing, "MOST_PIXELS", 1)
    watched.calls.clear()
    list(remove_masked(work, masked(work)))
    assert watched.calls == [1] * 8


def test_a_run_that_fails_between_two_rows_goes_on_where_it_stopped(job, remover):
    class Failing(Silent):
        def did(self, outcome):
            if outcome.source == name(9):
                raise ZeroDivisionError

    work = job(30)
    remover()
    with pytest.raises(ZeroDivisionError):
        run(work, Failing())
    assert run(work).done == {"removed": 20}


def test_an_interrupted_model_loses_no_picture_that_was_finished(job, remover):
    def interrupt(call: int, _: list) -> None:
        if call == 3:
            raise KeyboardInterrupt

    work = job(30)
    remover(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(work)
    assert published(work) == [name(number) for number in range(16)]
    remover()
    assert run(work).done == {"removed": 14}


def test_a_caller_who_stops_leaves_neither_threads_nor_half_a_file(job, remover):
    work = job(30)
    remover()
    rows = remove_masked(work, masked(work))
    assert next(rows).source == name(0)
    rows.close()
    assert not list(Path(work.target).rglob("*.part"))
    for file in published(work):
        decode((Path(work.target) / "images" / file).read_bytes())


@pytest.mark.parametrize("full", ["images/p10.png", "images/p00.png", "images/p29.png"])
def test_a_full_disk_stops_the_run_after_the_rows_before_it(job, remover, monkeypatch, full):
    real = Target.write

    def write(self, relative, data):
        if relative == full:
            raise OSError(errno.ENOSPC, "No space left on device", relative)
        return real(self, relative, data)

    work = job(30)
    rows = masked(work)
    monkeypatch.setattr(Target, "write", write)
    watched, done = remover(), []
    with pytest.raises(EnvironmentFault, match="No space left"):
        all_into(done, remove_masked(work, rows))
    at = int(full[8:10])
    assert [row.source for row in done] == [name(number) for number in range(at)]
    assert len(watched.calls) <= at // 8 + 2


def test_a_source_that_cannot_be_read_stops_the_run_and_loses_no_row(job, remover, monkeypatch):
    work = job(30)
    rows, real = masked(work), LocalSource.read

    def read(self, relative, *given):
        if relative == name(20):
            raise OSError(errno.EIO, "Input/output error", relative)
        return real(self, relative, *given)

    monkeypatch.setattr(LocalSource, "read", read)
    remover()
    done = []
    with pytest.raises(EnvironmentFault, match="Input/output error"):
        all_into(done, remove_masked(work, rows))
    assert [row.source for row in done] == [name(number) for number in range(16)]


def test_masks_are_looked_for_in_one_group_while_the_next_is_decoded_and_the_last_is_written(job, monkeypatch):
    decoded, written, real = threading.Semaphore(0), threading.Semaphore(0), Target.write
    looked, seen = [], []

    def watched_decode(data: bytes, *limit: int):
        picture = decode(data, *limit)
        decoded.release()
        return picture

    def write(self, relative, data):
        saved = real(self, relative, data)
        written.release()
        return saved

    def segment(images, prompts):
        looked.append(len(images))
        seen.extend(decoded.acquire(timeout=LONG) for _ in range(16 if len(looked) == 1 else 0))
        seen.extend(written.acquire(timeout=LONG) for _ in range(8 if len(looked) == 2 else 0))
        return [Found(image[..., 0] > 100, 1.0) for image in images]

    work = job(16, masks="", point=["3,3"])
    monkeypatch.setattr(finding, "decode", watched_decode)
    monkeypatch.setattr(Target, "write", write)
    monkeypatch.setattr(finding, "load_segmenter", lambda *_: segment)
    rows = find_masks(work, open_folders(work.source, work.target).names())
    assert [row.source for row in rows] == [name(number) for number in range(16)]
    assert (looked, set(seen)) == ([8, 8], {True})
