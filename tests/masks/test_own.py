"""A finder of one's own: what it is given, and what of its answers is refused."""

from __future__ import annotations

import numpy as np
import pytest

from masks import BoxPrompt, PointPrompt, TextPrompt, load_segmenter
from masks.segmenters import is_code, objection, split_name

IMAGES = [np.zeros((20, 30, 3), np.uint8), np.zeros((10, 12, 3), np.uint8)]
PROMPTS = [TextPrompt("dog"), TextPrompt("cat@0.9", 0.7)]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes the text of a module in the current folder and loads the function `find` of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # and takes it away again, with the module

    def load(text: str, name: str = "finder_of_mine:find", threshold: float | None = None):
        (tmp_path / "finder_of_mine.py").write_text(
            f"import numpy as np\nfrom masks import Found, TextPrompt\nfrom masks.prompts import Instance\n{text}"
        )
        monkeypatch.delitem(__import__("sys").modules, "finder_of_mine", raising=False)
        __import__("importlib").invalidate_caches()
        return load_segmenter(name, threshold=threshold)

    return load


def returning(expression: str) -> str:
    return f"def find(images, prompts):\n    return {expression}\n"


WHOLE = "[Found(np.ones(image.shape[:2], bool), 0.6) for image in images]"


def test_a_function_is_a_segmenter_by_the_name_of_its_module_and_its_own(own):
    segment = own(returning(WHOLE))
    found = segment(IMAGES, PROMPTS)
    assert [(one.mask.shape, one.score, one.boxes) for one in found] == [
        ((20, 30), 0.6, ((0, 0, 30, 20),)),
        ((10, 12), 0.6, ((0, 0, 12, 10),)),
    ]


def test_it_is_told_the_threshold_in_every_text_prompt_that_has_none_and_all_else_as_it_is(own):
    point, box = PointPrompt(((1, 2, 1),)), BoxPrompt((0, 0, 5, 5))
    segment = own(
        f"seen = []\ndef find(images, prompts):\n    seen.extend(prompts)\n    return {WHOLE}\n", threshold=0.4
    )
    segment([*IMAGES, *IMAGES], [*PROMPTS, point, box])
    assert segment.function.__globals__["seen"] == [TextPrompt("dog", 0.4), PROMPTS[1], point, box]


def test_it_cannot_change_the_pictures_that_it_is_shown(own):
    segment = own("def find(images, prompts):\n    images[0][:] = 9\n")
    with pytest.raises(
        ValueError, match=r"finder_of_mine:find failed: ValueError: assignment destination is read-only"
    ):
        segment(IMAGES, PROMPTS)
    assert not IMAGES[0].any()
    assert IMAGES[0].flags.writeable


def test_things_that_it_tells_apart_stay_apart_and_else_connected_areas_are_things(own):
    masks = "mask = np.zeros((20, 30), bool); mask[2:5, 2:6] = True; mask[9:12, 9:20] = True"
    apart = own(f"{masks}\ndef find(images, prompts):\n    return [Found(mask, 1)]\n")([IMAGES[0]], [PROMPTS[0]])[0]
    together = own(f"{masks}\ndef find(images, prompts):\n    return [Found(mask, 1, (), (Instance.of(mask),))]\n")
    assert len(apart.boxes) == len(apart.instances) == 2
    assert together([IMAGES[0]], [PROMPTS[0]])[0].boxes == ((2, 2, 20, 12),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (returning("None"), "returned a NoneType for 2 pictures"),
        (returning("[]"), "returned 0 finds for 2 pictures"),
        (returning("[None, None]"), "returned a NoneType for a picture; it returns a masks.Found"),
        (returning("[image for image in images]"), "returned a ndarray for a picture"),
        (returning("[Found(np.ones((20, 30), bool))] * 2"), r"a mask of \(20, 30\) bool for a picture of \(10, 12\)"),
        (returning("[Found(image[..., 0]) for image in images]"), r"a mask of \(20, 30\) uint8 .* H×W bool"),
        (returning("[Found(image[..., :1] > 0) for image in images]"), r"a mask of \(20, 30, 1\) bool"),
        (returning("[Found([[True]])] * 2"), "a mask of a list for a picture"),
        (returning(WHOLE.replace("0.6", "60")), "the score 60; a score is 0 to 1"),
        (returning(WHOLE.replace("0.6", "float('nan')")), "the score nan; a score is 0 to 1"),
        (returning(WHOLE.replace("0.6", "'high'")), "the score 'high', which is not a number"),
        (returning(WHOLE.replace("0.6", "1, (), ('dog',)")), "instances that are none of its mask"),
        (
            returning(WHOLE.replace("0.6", "1, (), (Instance(25, 0, np.ones((9, 9), bool)),)")),
            "instances that are none",
        ),
        (returning("1 / 0"), "failed: ZeroDivisionError: division by zero"),
        ("import sys\n" + returning("sys.exit('enough')"), "failed: SystemExit: enough"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_the_functions_name(own, text, words):
    segment = own(text)
    with pytest.raises(ValueError, match=rf"the segmenter finder_of_mine:find .*{words}"):
        segment(IMAGES, PROMPTS)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "finder_of_mine:find", "finder_of_mine has no function 'find'"),
        ("find = 3", "finder_of_mine:find", "finder_of_mine has no function 'find'"),
        ("1 / 0", "finder_of_mine:find", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "finder_of_mine:find", "cannot be imported: SystemExit: 3"),
        ("def", "finder_of_mine:find", "cannot be imported: SyntaxError"),
        ("", "no_such_module.at_all:find", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_what_cannot_be_imported_is_refused_by_its_name(own, text, name, words):
    with pytest.raises(ValueError, match=rf"the segmenter {name} .*{words}"):
        own(text, name)


def test_a_name_of_the_table_is_proposed_only_where_there_is_no_such_module(own):
    with pytest.raises(ValueError, match="No module named 'grounded_sm'; did you mean 'grounded-sam'"):
        load_segmenter("grounded_sm:find")
    with pytest.raises(ValueError, match=r"has no function 'find'$"):
        own("", "finder_of_mine:find")


def test_a_name_of_the_table_is_never_taken_for_a_module():
    assert [
        name for name in ("sam2:find", "sam:vit_b", "grounded-sam", "yolo", "a b:c", "x:y/z", "m:f.g") if is_code(name)
    ] == []
    assert all(map(is_code, ("finder:find", "my.package.finder:find_all", "_m:_f")))
    with pytest.raises(ValueError, match="did you mean 'sam2'"):
        split_name("sam-2:folder/of/mine")


def test_it_takes_every_kind_of_prompt_and_nothing_is_imported_to_find_that_out():
    prompts = [TextPrompt("anything"), PointPrompt(((1, 1),)), BoxPrompt((0, 0, 1, 1))]
    assert [objection("no_such_module:find", prompt) for prompt in prompts] == [None] * 3
