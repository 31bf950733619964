"""The first line of a run: what removes, what finds, and where."""

import pytest

from flows.job import Job
from flows.preflight import explain
from flows.requests.job_requests import read_requests
from flows.run import look, run
from flows.steps.introduction import introduction
from tests.flows.small import Following, small

BOX = ["1,1,9,9"]


@pytest.mark.parametrize(
    ("settings", "masks_only", "line"),
    [
        ({"text": ["cat"]}, False, "removing with sd15 (inpainting), finding with grounded-sam, on cpu"),
        ({"text": ["cat"]}, True, "finding with grounded-sam, on cpu"),
        ({"box": BOX, "model": "classic"}, False,
         "removing by patchmatch, without a model, finding with grabcut, on cpu"),
        ({"box": BOX, "model": "classic"}, True, "finding with grabcut, on cpu"),
        ({"masks": "m", "model": "lama"}, False, "removing with lama, masks as given, on cpu"),
        ({"coco": "c", "method": "telea"}, False, "removing by telea, without a model, masks as given, on cpu"),
        ({"text": ["cat"], "segmenter": "rf-detr", "device": "cuda:0,cuda:1"}, False,
         "removing with sd15 (inpainting), finding with rf-detr, on cuda:0, cuda:1"),
        ({"text": ["cat"], "model": "somebodys/finetune"}, False,
         "removing with somebodys/finetune (its config, once fetched, says how), finding with grounded-sam, on cpu"),
    ],
)  # fmt: skip
def test_one_line_names_the_model_the_method_the_finder_and_the_device(settings, masks_only, line):
    assert introduction(Job(**{"device": "cpu"} | settings), masks_only) == line


def test_the_device_of_another_machine_is_not_guessed_here():
    assert (
        introduction(Job(text=["cat"]), elsewhere=True) == "removing with sd15 (inpainting), finding with grounded-sam"
    )


@pytest.mark.parametrize(("model", "said"), [
    ("bundled", []),
    ("bundled-style", ["bundled-style: 4 input channels and no inpainting checkpoint of it is known"]),
    ("bundled-base", ["bundled-base: 4 input channels; bundled is its child fine-tuned for inpainting"]),
])  # fmt: skip
def test_a_checkpoint_that_is_not_simply_used_is_explained(tmp_path, model, said):
    job = small(tmp_path, pictures=1, model=model, method="auto")
    heard = Following()
    explain(job, read_requests(job), heard.say, masks_only=False)
    assert [line for line in heard.said if line.startswith(f"{model}:")] == said


def test_it_is_said_before_work_begins_and_not_where_there_is_none(tmp_path):
    job, first, look_first, again = small(tmp_path), Following(), Following(), Following()
    look(job, look_first)
    run(job, first)
    run(job, again)
    assert introduction(job) in look_first.said
    assert first.said[0] == introduction(job)
    assert introduction(job) not in again.said
