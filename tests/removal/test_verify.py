"""The gate without weights: what fits passes, what does not is named."""

import cv2
import numpy as np
import pytest

from removal.fills import telea
from removal.verify import LIMITS, fit

SIDE = 160
Y, X = np.mgrid[0:SIDE, 0:SIDE]
HOLE = np.hypot(X - 80, Y - 70) < 26


@pytest.fixture
def wall() -> np.ndarray:
    """Blocks with joints and a little noise."""
    joints = (Y % 14 < 2) | ((X + 10 * (Y // 14 % 2)) % 24 < 2)
    image = np.where(joints[..., None], 110.0, (170.0, 150.0, 140.0))
    return np.clip(image + np.random.default_rng(0).normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def words(image: np.ndarray, mask: np.ndarray = HOLE) -> str:
    return "; ".join(fit(image, mask).reasons)


def test_a_hole_that_goes_on_as_its_surroundings_passes(wall):
    found = fit(wall, HOLE)
    assert found.reasons == []
    assert found.doubt < 0.5
    assert found.strange == 0


def test_an_object_in_the_hole_is_named_by_its_colours(wall):
    cv2.circle(wall, (80, 70), 14, (220, 30, 30), -1)
    found = fit(wall, HOLE)
    assert 0.2 < found.strange < 0.4
    assert "colours that are nowhere around it" in words(wall)
    assert found.doubt > 1


def test_an_object_in_colours_that_are_around_it_is_not_seen(wall):
    """What the gate cannot know: there the segmenter is asked."""
    for centre in ((80, 70), (120, 70)):
        cv2.circle(wall, centre, 12, (220, 30, 30), -1)
    assert "colours" not in words(wall)


def test_the_edge_of_a_patch_in_another_tone_is_named():
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    image[HOLE] = 150
    assert "edge of the mask shows" in words(image)


def test_a_blurred_patch_in_a_texture_is_named(wall):
    wall[HOLE] = cv2.GaussianBlur(wall, (0, 0), 8)[HOLE]
    assert "smoother than its surroundings" in words(wall)


def test_a_busy_patch_in_a_quiet_place_is_named():
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    image[HOLE] += np.random.default_rng(0).integers(0, 30, (HOLE.sum(), 1), np.uint8)
    assert "busier than its surroundings" in words(image)


@pytest.fixture
def meadow() -> np.ndarray:
    """Coarse detail without order, the same everywhere."""
    noise = np.random.default_rng(1).normal(0, 1, (SIDE, SIDE))
    fine = cv2.GaussianBlur(noise, (0, 0), 1.5)
    grey = np.clip(120 + 30 * fine / fine.std(), 0, 255).astype(np.uint8)
    return np.dstack([grey, grey, grey])


def test_a_smear_in_the_mean_colour_of_a_texture_is_doubted_and_the_texture_is_not(meadow):
    assert fit(meadow, HOLE).doubt < 0.6
    smeared = telea.fill(meadow, HOLE)
    assert fit(smeared, HOLE).doubt > 1
    assert fit(smeared, HOLE).reasons


def test_a_thing_in_no_strange_colour_and_of_usual_detail_is_doubted_for_both_together(meadow):
    """Each half has the colours of the one side and the detail of the other, so that neither alone is unusual."""
    plain, fine = np.full_like(meadow, 90), np.clip(meadow.astype(int) + 40, 0, 255).astype(np.uint8)
    image = np.where((X < 80)[..., None], plain, fine)
    assert fit(image, HOLE).reasons == []
    swapped = image.copy()
    swapped[HOLE] = np.where((X < 80)[..., None], np.full_like(meadow, 160), meadow - np.uint8(30))[HOLE]
    found = fit(swapped, HOLE)
    assert found.strange < 0.08
    assert found.unlike > LIMITS["unlike"]
    assert found.doubt > 1


def test_doubt_grows_with_the_fault(wall):
    doubts = []
    for radius in (0, 8, 12, 16):
        spoilt = cv2.circle(wall.copy(), (80, 70), radius, (30, 60, 220), -1)
        doubts.append(fit(spoilt, HOLE).doubt)
    assert doubts == sorted(doubts)
    assert doubts[0] < 1 < doubts[1]


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (2000, 1500)])
def test_any_picture_and_any_hole_can_be_judged(shape):
    image = np.full((*shape, 3), 90, np.uint8)
    mask = np.zeros(shape, bool)
    mask[: max(1, shape[0] // 2), : max(1, shape[1] // 3)] = True
    assert fit(image, mask).reasons == []
    assert fit(image, np.ones(shape, bool)).reasons == []


def test_a_large_picture_is_judged_as_its_small_copy(wall):
    spoilt = cv2.circle(wall, (80, 70), 14, (220, 30, 30), -1)
    large = cv2.resize(spoilt, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    hole = cv2.resize(HOLE.astype(np.uint8), None, fx=5, fy=5) > 0
    assert fit(large, hole).strange == pytest.approx(fit(spoilt, HOLE).strange, abs=0.06)
