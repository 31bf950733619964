"""How the bundled checkpoints are made, on a few steps of everything."""

import json

import numpy as np
import pytest
import torch

from removal.bundled.scenes import TRAINING_SEEDS, scene
from tests.training import autoencoder, diffusion, loop, networks
from tests.training.loop import Lesson, Schedule, Shares, fit
from tests.training.segmenters import ClipSegTask, Labelled, SamTask, build_sam


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    drawn = [scene(TRAINING_SEEDS + i) for i in range(16)]
    labels = np.stack([sum((k + 1) * visible for k, visible in enumerate(one.objects)) for one in drawn]).astype(
        np.uint8
    )
    texts = np.array([[*(t.text for t in one.things), "", "", ""][:4] for one in drawn])
    return Labelled(np.stack([one.image for one in drawn]), labels, texts)


@pytest.fixture
def tokenizer(tmp_path):
    return networks.build_tokenizer(
        ["a red ball and a blue star on bricks", "a green ring on wood"], tmp_path / "words"
    )


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    data = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))

    def train(folder, stop_at=None):
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)

        def batch_at(step):
            if step == stop_at:
                raise KeyboardInterrupt
            return (data[torch.randint(64, (8,), generator=torch.Generator().manual_seed(step))],)

        lesson = Lesson(batch_at, sum_of_columns)
        schedule = Schedule(9, 8, 0.1, scenes=0)
        return fit("line", torch.nn.Linear(3, 1), lesson, schedule, folder, log=lambda _: None).weight.detach()

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stop_at=5)
    assert torch.equal(train(tmp_path / "stopped"), whole)


def sum_of_columns(model, rows):
    """The loss of a linear model that is to learn the sum of a row."""
    return ((model(rows) - rows.sum(dim=1, keepdim=True)) ** 2).mean()


def test_a_run_that_stops_early_follows_the_curve_of_the_whole_one(tmp_path):
    """What a comparison at equal steps rests on: the same rates, and the weights of that very step."""
    data = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    lesson = Lesson(lambda step: (data[step * 4 : step * 4 + 8],), sum_of_columns)

    def train(name, **how):
        torch.manual_seed(0)
        return fit(name, torch.nn.Linear(3, 1), lesson, Schedule(12, 8, 0.1, scenes=0, **how), tmp_path, lambda _: None)

    train("whole", keep=5)
    kept = torch.load(tmp_path / "whole-5.pt", weights_only=True)
    stopped = train("stopped", stop=5)
    assert torch.equal(kept["weight"], stopped.weight)


def test_shares_of_a_batch_add_up_to_its_gradient_and_its_loss(monkeypatch):
    rows = torch.randn(7, 3)
    lesson = Lesson(lambda step: (rows,), sum_of_columns)
    model = torch.nn.Linear(3, 1)
    sum_of_columns(model, rows).backward()
    wanted, model.weight.grad = model.weight.grad, None
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    loss = Shares(torch.device("cpu")).backward(model, lesson, step=0)
    assert torch.allclose(model.weight.grad, wanted, atol=1e-6)
    assert loss == pytest.approx(sum_of_columns(model, rows).item(), rel=1e-5)


def test_every_run_leaves_its_losses_in_a_log(tmp_path):
    lesson = Lesson(lambda step: (torch.ones(4, 3),), sum_of_columns)
    fit("line", torch.nn.Linear(3, 1), lesson, Schedule(100, 4, 0.1, scenes=0), tmp_path, log=lambda _: None)
    rows = [json.loads(line) for line in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [50, 100]
    assert rows[1]["loss"] < rows[0]["loss"]


def test_the_loss_falls_in_every_task(tmp_path, labelled, tokenizer):
    clipseg = ClipSegTask(labelled, tokenizer_for(labelled, tmp_path))
    sam = SamTask(labelled)
    for task, model in ((sam, build_sam(sam_config())), (clipseg, clipseg.build())):
        torch.manual_seed(0)
        batch = task.batch_at(0, 8, seed=0)
        before = task.loss_of(model, *batch).item()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(6):
            optimiser.zero_grad()
            task.loss_of(model, *batch).backward()
            optimiser.step()
        assert task.loss_of(model, *batch).item() < before


def sam_config():
    from tests.training.segmenter_networks import SAM_CONFIG

    return SAM_CONFIG


def tokenizer_for(labelled, folder):
    return networks.build_tokenizer({t for row in labelled.texts for t in row if t}, folder / "all")


def test_the_text_segmenter_learns_through_both_towers(tmp_path, labelled):
    task = ClipSegTask(labelled, tokenizer_for(labelled, tmp_path))
    both = task.build()
    task.loss_of(both, *task.batch_at(0, 4, seed=0)).backward()
    clip = both["clipseg"].clip
    assert clip.vision_model.embeddings.patch_embedding.weight.grad.abs().max() > 0
    assert clip.text_model.embeddings.token_embedding.weight.grad.abs().max() > 0


def test_every_word_is_one_token_and_others_fall_into_letters(tokenizer):
    assert len(tokenizer("red ball").input_ids) == 4
    assert len(tokenizer("wheel").input_ids) > 3


def test_the_autoencoder_starts_with_the_colours_in_place():
    vae = autoencoder.build().eval()
    pixels = torch.from_numpy(scene(2).image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        mean = vae.encode(pixels).latent_dist.mean
    small = torch.nn.functional.avg_pool2d(pixels, 4)
    for channel in range(3):
        kept = torch.corrcoef(torch.stack([mean[0, channel].flatten(), small[0, channel].flatten()]))[0, 1]
        assert kept > 0.9
    assert mean.shape == (1, 4, 32, 32)


def test_the_inpainting_child_starts_as_its_parent_exactly():
    parent = networks.build_unet().eval()
    child = networks.widen(parent).eval()
    assert child.config.in_channels == 9
    noisy, words = torch.randn(1, 4, 32, 32), torch.randn(1, 8, 64)
    with torch.no_grad():
        theirs = parent(noisy, 500, words).sample
        ours = child(torch.cat([noisy, torch.randn(1, 5, 32, 32)], dim=1), 500, words).sample
    assert torch.equal(theirs, ours)


def test_noise_and_its_target_give_the_picture_back():
    noising = diffusion._Noise()
    clean, noise, steps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    noisy, target = noising(clean, noise, steps)
    signal = noising.kept[steps].sqrt()[:, None, None, None]
    spread = (1 - noising.kept[steps]).sqrt()[:, None, None, None]
    assert torch.allclose(signal * noisy - spread * target, clean, atol=1e-5)
