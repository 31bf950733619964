"""The ladder: doubtful pictures are tried again, and what was tried is neither lost nor mixed up."""

import errno
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.errors import EnvironmentFault
from flows.job import Job
from flows.outcome import Outcome
from flows.run import run
from flows.samples.scenes import write_scenes
from flows.steps.attempts import picture_seed
from flows.steps.ladder import grown, hulled, ladder
from flows.steps.verdicts import Verdict
from masks import dilate, hull
from removal import Checkpoint, Choice, load_remover
from removal.checkpoints.presets import BUNDLED

STRANGE = np.array([255, 0, 255])
BAD = 0.5  # share of the hole in a colour that is nowhere else


class Painters:
    """Removers that paint what was behind the mask, and over it, attempt by attempt, as much strangeness as is planned.

    `plan` gives each picture (by its first pixel) its shares of strangeness, 0..1, of which the last one lasts; an
    exception is raised. What they were asked for stands in `calls`: method, pictures, masks and seeds.
    """

    def __init__(self, plan: dict[int, list]):
        self.plan, self.attempts, self.calls = plan, Counter(), []

    def by(self, method: str) -> "Painter":
        return Painter(self, Choice("bundled", Checkpoint("here", "sd15", 9), method, f"{method} for a reason"))

    @property
    def methods(self) -> list[str]:
        return [method for method, *_ in self.calls]

    @property
    def pictures(self) -> list[list[int]]:
        return [pictures for _, pictures, *_ in self.calls]

    def planned(self, picture: int):
        shares = self.plan.get(picture, [0])
        return shares[min(self.attempts[picture], len(shares) - 1)]


class Painter:
    steps, strength = 4, 1.0

    def __init__(self, all_of_them: Painters, choice: Choice):
        self.all, self.choice = all_of_them, choice

    def __call__(self, images, masks, seeds):
        pictures = [int(image[0, 0, 0]) for image in images]
        self.all.calls.append((self.choice.method, pictures, masks, seeds))
        broken = [share for share in map(self.all.planned, pictures) if isinstance(share, Exception)]
        if broken and len(pictures) > 1:
            raise broken[0]
        painted = [self.paint(*row) for row in zip(pictures, images, masks, seeds, strict=True)] if not broken else []
        self.all.attempts.update(pictures)
        if broken:
            raise broken[0]
        return painted

    def paint(self, picture: int, image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
        result = image.copy()
        inside = np.argwhere(mask)
        result[mask] += np.random.default_rng(seed).integers(0, 3, (len(inside), 3), np.uint8)
        strange = inside[: round(self.all.planned(picture) * len(inside))]
        result[strange[:, 0], strange[:, 1]] = STRANGE
        return result


@pytest.fixture
def plan(monkeypatch):
    """A function that puts planned painters in the place of all removers."""

    def put(**shares: list) -> Painters:
        painters = Painters({int(name[1:]): planned for name, planned in shares.items()})
        monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: painters.by("inpainting"))
        monkeypatch.setattr("flows.steps.ladder.load_remover", lambda _, **options: painters.by(options["method"]))
        monkeypatch.setattr("flows.steps.ladder.FillRemover", lambda choice, fill: painters.by(choice.method))
        return painters

    return put


@pytest.fixture
def job(tmp_path, picture):
    """A function that makes a job over three pictures (the number of each is its first pixel) with masks like an L."""
    mask = np.zeros((80, 100), bool)
    mask[20:50, 30:36] = mask[44:50, 30:60] = True
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        image = picture(80, 100) // 2 + 60
        image[0, 0] = number
        Image.fromarray(image).save(tmp_path / "images" / f"p{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"p{number}.png")

    def make(**settings) -> Job:
        given = {"source": tmp_path / "images", "target": tmp_path / "out", "masks": tmp_path / "masks"}
        return Job(**{name: str(path) for name, path in given.items()} | {"model": "bundled"} | settings)

    return make


def rows(job: Job, file: str = "metadata.jsonl") -> dict[str, dict]:
    lines = (Path(job.target) / file).read_text().splitlines()
    return {row["source"].removesuffix(".png"): row for row in map(json.loads, lines)}


def pixels(*place: object) -> np.ndarray:
    return np.asarray(Image.open(Path(*map(str, place))).convert("RGB"))


def archived(job: Job, name: str) -> list[str]:
    return sorted(file.name for file in (Path(job.target) / ".cleanplate" / "attempts" / f"{name}.png").glob("*"))


def published_mask(job: Job, name: str) -> np.ndarray:
    return pixels(job.target, "masks", f"{name}.png.png")[..., 0] > 0


def given_mask(job: Job, name: str) -> np.ndarray:
    return pixels(job.masks, f"{name}.png")[..., 0] > 0


def test_a_doubtful_picture_climbs_the_ladder_in_its_order(plan, job):
    painters = plan(p1=[0.2, BAD])
    run(job(tries=6))
    assert painters.methods == ["inpainting"] * 4 + ["attentive", "patchmatch"]
    first, again, more, hulls, attentive, patches = (call[2][-1] for call in painters.calls)
    given = given_mask(job(), "p1")
    assert (first == given).all()
    assert (again == given).all()
    assert (more == dilate(given, 4)).all()
    assert (hulls == hull(more)).all()
    assert (attentive == given).all()  # which did best so far
    assert (patches == given).all()
    seeds = [call[3][-1] for call in painters.calls]
    assert len(set(seeds)) == 6


def test_when_all_attempts_fail_the_best_is_published_as_doubtful_with_their_number(plan, job):
    plan(p1=[BAD, 0.2, BAD])
    assert run(job(tries=6)).doubtful == 1
    row = rows(job())["p1"]
    assert (row["status"], row["verdict"], row["attempt"], row["method"]) == ("removed", "doubtful", 2, "inpainting")
    assert row["reason"].startswith("inpainting for a reason; doubtful after 6 attempts: ")
    assert "of the hole has colours that are nowhere around it" in row["reason"]


def test_the_climb_ends_with_the_first_attempt_that_is_gone(plan, job):
    painters = plan(p1=[BAD, BAD, 0])
    assert run(job(tries=6)).doubtful == 0
    assert painters.pictures == [[0, 1, 2], [1], [1]]
    row = rows(job())["p1"]
    assert (row["attempt"], row["verdict"], row["reason"]) == (3, "gone", "inpainting for a reason")


@pytest.mark.parametrize(("dilate", "fades"), [(0, False), (8, True)])
def test_a_patch_fades_in_at_the_edge_of_a_dilated_mask_alone(plan, job, dilate, fades):
    plan(p1=[1])
    run(job(tries=1, dilate=dilate, existing="overwrite"))
    mask, result = published_mask(job(), "p1"), pixels(job().target, "images", "p1.png")
    faded = mask & (result != STRANGE).any(axis=2)
    assert faded.any() == fades
    assert not faded[given_mask(job(), "p1")].any()


def test_only_doubtful_pictures_are_tried_again_together(plan, job):
    painters = plan(p0=[BAD, 0], p2=[BAD])
    run(job(tries=3))
    assert painters.pictures == [[0, 1, 2], [0, 2], [2]]
    assert {name: row["attempt"] for name, row in rows(job()).items()} == {"p0": 2, "p1": 1, "p2": 1}


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
def test_no_picture_gets_more_attempts_than_tries(plan, job, tries):
    painters = plan(p0=[BAD], p1=[BAD], p2=[BAD])
    run(job(tries=tries))
    assert painters.pictures == [[0, 1, 2]] * tries
    after = "doubtful: " if tries == 1 else f"doubtful after {tries} attempts: "
    assert all(after in row["reason"] for row in rows(job()).values())


def test_the_best_attempt_is_published_and_the_others_are_archived(plan, job):
    plan(p1=[BAD, 0.2, 0.7])
    run(job(tries=3))
    assert archived(job(), "p1") == ["1.json", "1.mask.png", "1.png", "3.json", "3.mask.png", "3.png"]
    assert archived(job(), "p0") == []
    attempts = Path(job().target) / ".cleanplate" / "attempts" / "p1.png"
    for number, share, faded in ((1, BAD, 0), (3, 0.7, 0.4)):  # the edge of the third, a grown mask's, is faded
        mask = pixels(attempts, f"{number}.mask.png")[..., 0] > 0
        strange = (pixels(attempts, f"{number}.png") == STRANGE).all(axis=2)
        assert round(share * (1 - faded) * mask.sum()) <= strange.sum() <= round(share * mask.sum())
        assert mask[strange].all()
    published = (pixels(job().target, "images", "p1.png") == STRANGE).all(axis=2)
    assert published.sum() == round(0.2 * given_mask(job(), "p1").sum())


def test_every_attempt_that_is_archived_has_its_own_row(plan, job):
    plan(p1=[BAD, 0.2, 0.7])
    run(job(tries=3))
    for number in (1, 3):
        place = f".cleanplate/attempts/p1.png/{number}"
        row = json.loads((Path(job().target) / f"{place}.json").read_text())
        assert set(row) == set(Outcome("x", "y").row())
        assert (row["source"], row["status"], row["attempt"]) == ("p1.png", "removed", number)
        assert (row["file_name"], row["mask_file_name"]) == (f"{place}.png", f"{place}.mask.png")
        assert (row["verdict"], row["doubt"] > rows(job())["p1"]["doubt"]) == ("doubtful", True)
        assert row["reason"].startswith("inpainting for a reason; doubtful: ")
        mask = pixels(job().target, row["mask_file_name"])[..., 0] > 0
        assert row["mask_area"] == pytest.approx(mask.mean(), abs=1e-6)


@pytest.mark.parametrize(("attempt", "shape"), [(2, None), (3, grown), (4, hulled)])
def test_the_mask_follows_its_attempt_and_nothing_outside_it_changes(plan, job, attempt, shape):
    plan(p1=[BAD] * (attempt - 1) + [0])
    run(job(tries=4))
    row, mask = rows(job())["p1"], published_mask(job(), "p1")
    given = given_mask(job(), "p1")
    expected = {None: given, grown: dilate(given, 4), hulled: hull(dilate(given, 4))}[shape]
    assert (mask == expected).all()
    assert row["attempt"] == attempt
    assert row["mask_area"] == round(float(mask.mean()), 6)
    assert row["dilate"] == (4 if shape else 0)
    assert row["outside_max_diff"] == 0
    changed = (pixels(job().target, "images", "p1.png") != pixels(job().source, "p1.png")).any(axis=2)
    assert not changed[~mask].any()
    assert changed[mask & ~given].any() == bool(shape)


def test_another_method_is_named_with_what_stayed_doubtful(plan, job):
    plan(p1=[BAD] * 4 + [0])
    run(job(tries=6))
    row = rows(job())["p1"]
    assert (row["method"], row["attempt"], row["reason"]) == ("attentive", 5, "inpainting stayed doubtful")
    assert rows(job())["p0"]["method"] == "inpainting"


@pytest.mark.parametrize("trouble", [RuntimeError("out of memory"), OSError("gone"), ValueError("4 channels")])
def test_weights_that_cannot_be_had_for_another_method_leave_patchmatch(plan, job, monkeypatch, trouble):
    def refuse(*_, **__):
        raise trouble

    painters = plan(p1=[BAD])
    monkeypatch.setattr("flows.steps.ladder.load_remover", refuse)
    run(job(tries=6))
    assert painters.methods == ["inpainting"] * 4 + ["patchmatch"]
    assert "doubtful after 5 attempts" in rows(job())["p1"]["reason"]


def test_a_full_disk_on_the_ladder_stops_the_run_and_marks_no_picture(plan, job, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "hub")

    plan(p1=[BAD])
    monkeypatch.setattr("flows.steps.ladder.load_remover", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        run(job(tries=6))
    assert rows(job()) == {}


def test_no_other_weights_are_loaded_before_a_picture_needs_them(plan, job, monkeypatch):
    plan(p1=[BAD])
    monkeypatch.setattr("flows.steps.ladder.load_remover", lambda *_, **__: pytest.fail("loaded too early"))
    run(job(tries=4))


def test_a_mask_that_would_be_too_large_is_passed_over_without_costing_an_attempt(plan, job):
    painters = plan(p1=[BAD])
    area = given_mask(job(), "p1").mean()
    run(job(tries=4, max_area=float(area) + 0.001))
    assert painters.methods == ["inpainting", "inpainting", "attentive", "patchmatch"]
    assert all((call[2][-1] == given_mask(job(), "p1")).all() for call in painters.calls)


def test_a_mask_that_is_its_own_hull_is_not_tried_twice(plan, job):
    band = np.zeros((80, 100), bool)
    band[30:50] = True
    Image.fromarray(band).save(Path(job().masks) / "p1.png")
    painters = plan(p1=[BAD])
    run(job(tries=4))
    assert painters.methods == ["inpainting"] * 3 + ["attentive"]


def test_an_attempt_that_fails_loses_none_of_the_earlier_ones(plan, job):
    painters = plan(p0=[BAD, 0], p1=[BAD, RuntimeError("cannot paint this"), BAD])
    assert run(job(tries=3)).done == {"removed": 3}
    row = rows(job())["p1"]
    assert (row["attempt"], row["verdict"]) == (1, "doubtful")
    assert "doubtful after 3 attempts: " in row["reason"]
    assert row["reason"].endswith("; attempt 2 failed: cannot paint this")
    assert archived(job(), "p1") == ["3.json", "3.mask.png", "3.png"]
    assert rows(job())["p0"]["attempt"] == 2
    assert painters.pictures[-1] == [1]


def test_a_picture_that_fails_at_first_fails_and_is_not_tried_again(plan, job):
    plan(p1=[RuntimeError("cannot paint this"), 0])
    assert run(job(tries=3)).done == {"removed": 2, "failed": 1}
    row = rows(job(), "failures.jsonl")["p1"]
    assert (row["reason"], row["method"], row["attempt"], row["verdict"]) == (
        "cannot paint this",
        "inpainting",
        1,
        None,
    )


def test_attempts_that_cannot_be_archived_cost_no_picture(plan, job, tmp_path):
    (tmp_path / "out" / ".cleanplate").mkdir(parents=True)
    (tmp_path / "out" / ".cleanplate" / "attempts").write_bytes(b"in the way")
    plan(p1=[BAD, 0])
    assert run(job(tries=2)).done == {"removed": 3}
    assert "attempt 1 is lost" in rows(job())["p1"]["reason"]
    assert (tmp_path / "out" / ".cleanplate" / "attempts").read_bytes() == b"in the way"


def test_earlier_attempts_go_with_the_result_they_belonged_to(plan, job):
    plan(p0=[BAD], p1=[BAD], p2=[BAD])
    run(job(tries=2))
    assert [archived(job(), f"p{k}") for k in range(3)] == [["2.json", "2.mask.png", "2.png"]] * 3
    (Path(job().source) / "p2.png").write_bytes(b"broken now")
    plan(p0=[BAD])
    run(job(existing="overwrite"))
    assert [archived(job(), f"p{k}") for k in range(3)] == [[]] * 3


def test_a_row_with_attempts_has_every_key(plan, job):
    plan(p1=[BAD, 0])
    run(job(tries=2))
    for row in rows(job()).values():
        assert set(row) == set(Outcome("x", "y").row())
        assert row["seconds"] >= 0


def test_the_same_job_gives_the_same_pictures_in_any_order_and_groups(plan, job, tmp_path, monkeypatch):
    shares = {"p0": [BAD, 0.2, BAD, 0.3], "p1": [BAD, BAD, 0], "p2": [0.3, BAD, 0]}
    found = []
    for group, names in ((8, "abc"), (8, "abc"), (1, "abc"), (2, "cab")):
        plan(**shares)
        monkeypatch.setattr("flows.steps.remove_masked.GROUP", group)
        place = tmp_path / f"run{len(found)}"
        for number, name in enumerate(names):
            for kind in ("images", "masks"):
                (place / kind).mkdir(parents=True, exist_ok=True)
                (place / kind / f"{name}.png").write_bytes((tmp_path / kind / f"p{number}.png").read_bytes())
        run(job(source=str(place / "images"), masks=str(place / "masks"), target=str(place / "out"), tries=5))
        out = place / "out"
        found.append(
            [
                (out / kind / f"{name}.png{end}").read_bytes()
                for name in names
                for kind, end in (("images", ""), ("masks", ".png"))
            ]
        )
    assert found[0] == found[1] == found[2] == found[3]


def test_the_seed_of_a_first_attempt_is_the_pictures_own_and_every_other_attempt_has_another():
    own = int(hashlib.sha256(b"7:abc").hexdigest()[:8], 16)
    assert picture_seed(7, "abc") == picture_seed(7, "abc", 1) == own
    assert (
        len({picture_seed(seed, content, attempt) for seed in (0, 1) for content in "ab" for attempt in (1, 2, 3)})
        == 12
    )


def test_what_draws_nothing_at_random_is_not_tried_with_another_seed_nor_twice():
    rungs = list(ladder(Job(), load_remover(method="patchmatch")))
    assert [(rung.remover.choice.method, rung.widen) for rung in rungs] == [
        ("patchmatch", None), ("patchmatch", grown), ("patchmatch", hulled),
    ]  # fmt: skip


def test_an_attentive_job_ends_with_patchmatch(monkeypatch):
    monkeypatch.setattr("flows.steps.ladder.load_remover", lambda *_, **__: pytest.fail("it is attentive already"))
    methods = [rung.remover.choice.method for rung in ladder(Job(), Painters({}).by("attentive"))]
    assert methods == ["attentive"] * 4 + ["patchmatch"]


def test_the_attentive_rung_has_the_weights_that_are_in_use_and_the_settings_of_the_job(monkeypatch):
    asked = []
    monkeypatch.setattr("flows.steps.ladder.load_remover", lambda model, **options: asked.append((model, options)))
    list(ladder(Job(model="bundled-base", steps=7), load_remover("bundled-base", steps=7, device="cpu")))
    ((model, options),) = asked
    assert Path(model) == BUNDLED / "inpainting"  # its child, which auto chose
    assert (options["method"], options["steps"], options["offline"]) == ("attentive", 7, False)


@pytest.mark.parametrize("model", ["bundled", "bundled-base"])
def test_every_rung_stands_on_the_real_models(tmp_path, monkeypatch, model):
    doubts = iter([7, 6, 5, 4, 3, 2])
    monkeypatch.setattr("flows.steps.attempts.judge", lambda *_: Verdict(next(doubts), ("it is only a test",)))
    write_scenes(tmp_path / "scenes", count=1, seed=11)
    places = {"source": str(tmp_path / "scenes/images"), "masks": str(tmp_path / "scenes/masks")}
    work = Job(**places, target=str(tmp_path / "out"), model=model, steps=2, tries=6, device="cpu")
    run(work)
    row = rows(work)["0000"]
    assert (row["attempt"], row["method"], row["outside_max_diff"]) == (6, "patchmatch", 0)
    assert row["reason"] == "inpainting stayed doubtful; doubtful after 6 attempts: it is only a test"
    attempts = [pixels(work.target, ".cleanplate/attempts/0000.png", f"{number}.png") for number in range(1, 6)]
    attempts.append(pixels(work.target, "images/0000.png"))
    assert len({attempt.tobytes() for attempt in attempts}) == 6


def test_pictures_that_are_gone_are_the_same_with_more_tries_and_as_the_remover_alone_makes_them(tmp_path):
    write_scenes(tmp_path / "scenes", count=2, seed=12)
    given = {"source": str(tmp_path / "scenes/images"), "masks": str(tmp_path / "scenes/masks")}
    one = Job(**given, target=str(tmp_path / "one"), model="bundled", steps=8, device="cpu")
    three = one.model_copy(update={"target": str(tmp_path / "three"), "tries": 3})
    for each in (one, three):
        run(each)
        assert [(row["verdict"], row["attempt"]) for row in rows(each).values()] == [("gone", 1)] * 2
    names = ["0000.png", "0001.png"]
    images, masks = ([pixels(given[kind], name) for name in names] for kind in ("source", "masks"))
    seeds = [picture_seed(0, row["sha256_in"]) for row in rows(one).values()]
    alone = load_remover("bundled", **one.remover_options)(images, [mask[..., 0] > 0 for mask in masks], seeds)
    for name, result in zip(names, alone, strict=True):
        published = [tmp_path / target / "images" / name for target in ("one", "three")]
        assert published[0].read_bytes() == published[1].read_bytes()
        assert (pixels(published[0]) == result).all()
    assert not (tmp_path / "three" / ".cleanplate" / "attempts").exists()
