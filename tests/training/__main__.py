"""Trains every bundled checkpoint again: `python -m tests.training`. From a seed, resumable, hours on a CPU.

A program, not a library: the one place that stands above both rooms, since the segmenters learn from the same scenes.
State goes to --work every few hundred steps; the same command goes on from there. Finished checkpoints replace the
package's own (with --quick they go to --work, since a minute teaches nothing worth keeping).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from removal.bundled.scenes import BACKGROUNDS, COLOURS, SHAPES, TRAINING_SEEDS, scene
from tests.training import autoencoder, diffusion, networks, segmenters
from tests.training.loop import Lesson, Schedule, fit

PACKAGE = Path(__file__).parents[2]
SCHEDULES = {
    "autoencoder": Schedule(3200, 8, 1.5e-3, scenes=1500),
    "early": Schedule(5000, 24, 1e-3, scenes=6000),
    "inpainting": Schedule(9000, 24, 1e-3, scenes=1000, keep=3000),
    "control": Schedule(9000, 24, 1e-3, scenes=1000, stop=3000),
    "base": Schedule(6500, 24, 1e-3, scenes=6000),
    "style": Schedule(1000, 24, 6e-4, scenes=3000),
    "sam": Schedule(1600, 12, 8e-4, scenes=6000),
    "clipseg": Schedule(2800, 24, 8e-4, scenes=6000),
}


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state (`work`), puts its checkpoints (`into`) and computes, and by which schedules."""

    work: Path
    into: Path
    device: str
    schedules: dict[str, Schedule]

    @property
    def diffusers(self) -> Path:
        return self.into / "removal" / "bundled"

    @property
    def segmenters(self) -> Path:
        return self.into / "masks" / "bundled"


def main() -> None:
    """Run the stages that are asked for, in order; each needs those before it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training"), help="where state is kept between runs")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other weights of the same kind")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument("--only", choices=[*STAGES], nargs="*", help="stages; all by default")
    parser.add_argument("--quick", action="store_true", help="a minute of everything, to see that it runs")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    _quiet()
    given.work.mkdir(parents=True, exist_ok=True)
    schedules = {name: replace(one, seed=given.seed) for name, one in SCHEDULES.items()}
    if given.quick:
        schedules = {name: _quick(one) for name, one in schedules.items()}
    run = Run(given.work, given.work / "checkpoints" if given.quick else PACKAGE, given.device, schedules)
    asked = [name for name in STAGES if not given.only or name in given.only]
    for number, name in enumerate(asked, 1):
        say(f"{name}: stage {number} of {len(asked)}")
        torch.manual_seed(given.seed)
        STAGES[name](run)
    _publish_losses(run)
    for folder in (run.diffusers, run.segmenters):
        if folder.exists():
            record(folder)


def record(folder: Path) -> None:
    """Write the hashes of every weight file below `folder`, as `sha256sum --check` reads them."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".safetensors", ".pth"))
    lines = (
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n" for file in files
    )
    (folder / "SHA256SUMS").write_text("".join(lines))


def _publish_losses(run: Run) -> None:
    """Every twentieth of each stage's log, and its last line, beside the weights."""
    kept = []
    for name in STAGES:
        file = run.work / f"{name}.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        by_step = {line["step"]: line for line in lines}  # a resumed run repeats a few
        rows = [by_step[step] for step in sorted(by_step)]
        kept += [{"stage": name, **row} for row in [*rows[: -1 : max(1, len(rows) // 20)], *rows[-1:]]]
    run.diffusers.mkdir(parents=True, exist_ok=True)
    (run.diffusers / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))


def _quiet() -> None:
    """The libraries' bars and remarks out of our progress."""
    import diffusers
    import transformers

    for logging in (diffusers.utils.logging, transformers.utils.logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()


def _quick(schedule: Schedule) -> Schedule:
    return replace(schedule, steps=8, batch=4, scenes=24, stop=schedule.stop and 4, keep=schedule.keep and 4)


def train_autoencoder(run: Run) -> None:
    vae = autoencoder.train(run.schedules["autoencoder"], run.work, run.device, say)
    vae.save_pretrained(run.work / "autoencoder")


def train_early(run: Run) -> None:
    tokenizer = _tokenizer(run)
    unet, words = diffusion.train_early(_autoencoder(run), tokenizer, run.schedules["early"], run.work, run.device, say)
    words.save_pretrained(run.work / "text_encoder")
    unet.save_pretrained(run.work / "early")


def train_inpainting(run: Run) -> None:
    schedule, silence = run.schedules["inpainting"], _silence(run)
    unet = diffusion.train_inpainting(
        _autoencoder(run), _unet(run, "early"), silence, schedule, run.work, run.device, say
    )
    save_pipeline(run, unet, run.diffusers / "inpainting")
    at_equal_steps = networks.build_unet(in_channels=9)
    at_equal_steps.load_state_dict(torch.load(run.work / f"inpainting-{schedule.keep}.pt", weights_only=True))
    save_pipeline(run, at_equal_steps, run.work / "inpainting-equal")


def train_control(run: Run) -> None:
    unet = diffusion.train_control(
        _autoencoder(run), _unet(run, "early"), _silence(run), run.schedules["control"], run.work, run.device, say
    )
    save_pipeline(run, unet, run.work / "control")
    save_pipeline(run, _unet(run, "early"), run.work / "parent")


def train_base(run: Run) -> None:
    _draw(run, "base", parent="early")


def train_style(run: Run) -> None:
    _draw(run, "style", parent="base")


def _draw(run: Run, name: str, parent: str) -> None:
    before = _unet(run, parent), _words(run)
    schedule, tokenizer = run.schedules[name], _tokenizer(run)
    unet = diffusion.train_drawing(name, _autoencoder(run), tokenizer, before, schedule, run.work, run.device, say)
    unet.save_pretrained(run.work / name)
    save_pipeline(run, unet, run.diffusers / name)


def train_sam(run: Run) -> None:
    task = segmenters.SamTask(_labelled(run, "sam"))
    sam = _fit(run, "sam", segmenters.build_sam(segmenters.SAM_CONFIG), task)
    folder = run.segmenters / "sam"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({key: value.half() for key, value in sam.state_dict().items()}, folder / "sam.pth")
    (folder / "config.json").write_text(json.dumps(segmenters.SAM_CONFIG, indent=2) + "\n")


def train_clipseg(run: Run) -> None:
    from transformers import CLIPSegProcessor, ViTImageProcessor

    tokenizer = _tokenizer(run)
    task = segmenters.ClipSegTask(_labelled(run, "clipseg"), tokenizer)
    clipseg = _fit(run, "clipseg", task.build(), task)["clipseg"]
    clipseg.half().save_pretrained(run.segmenters / "clipseg")
    side = {"height": segmenters.SIDE, "width": segmenters.SIDE}
    pictures = ViTImageProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    CLIPSegProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(run.segmenters / "clipseg")
    (run.segmenters / "words.txt").write_text("\n".join([*COLOURS, *SHAPES]) + "\n")


STAGES: dict[str, Callable[[Run], None]] = {
    "autoencoder": train_autoencoder,
    "early": train_early,
    "inpainting": train_inpainting,
    "control": train_control,
    "base": train_base,
    "style": train_style,
    "sam": train_sam,
    "clipseg": train_clipseg,
}


def save_pipeline(run: Run, unet, folder: Path) -> None:
    """A diffusers folder in fp16: a plain Stable Diffusion pipeline for 4 channels, an inpainting one for 9."""
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline

    kind = StableDiffusionInpaintPipeline if unet.config.in_channels == 9 else StableDiffusionPipeline
    pipeline = kind(
        vae=_autoencoder(run).half(),
        text_encoder=_words(run).half(),
        tokenizer=_tokenizer(run),
        unet=unet.half(),
        scheduler=networks.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.save_pretrained(folder)
    for config in folder.glob("*/config.json"):  # which would name the folder of whoever trained it
        facts = json.loads(config.read_text())
        facts.pop("_name_or_path", None)
        config.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def say(message: str) -> None:
    print(message, flush=True)


def _fit(run: Run, name: str, model, task):
    schedule = run.schedules[name]
    lesson = Lesson(lambda step: task.batch_at(step, schedule.batch, schedule.seed), task.loss_of)
    return fit(name, model.to(run.device), lesson, schedule, run.work, say).cpu()


def _autoencoder(run: Run):
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(run.work / "autoencoder").eval()


def _unet(run: Run, name: str):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(run.work / name)


def _words(run: Run):
    from transformers import CLIPTextModel

    return CLIPTextModel.from_pretrained(run.work / "text_encoder")


def _tokenizer(run: Run):
    from transformers import CLIPTokenizer

    folder = run.work / "tokenizer"
    if not folder.exists():
        words = [f"a {c} {s} and a {c} {s} on {b}" for c in COLOURS for s in SHAPES for b in BACKGROUNDS]
        networks.build_tokenizer(words, folder)
    return CLIPTokenizer.from_pretrained(folder)


def _silence(run: Run) -> torch.Tensor:
    """The empty prompt's embedding."""
    empty = _tokenizer(run)("", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        return _words(run)(empty).last_hidden_state


def _labelled(run: Run, name: str) -> segmenters.Labelled:
    """Scenes with the visible part of every thing numbered, kept on disk between stages."""
    file, count = run.work / "scenes.npz", run.schedules[name].scenes
    if not file.exists():
        drawn = [scene(TRAINING_SEEDS + 500_000 + i) for i in range(count)]
        labels = np.zeros((count, *drawn[0].mask.shape), np.uint8)
        texts = np.full((count, 4), "", dtype="<U24")
        for i, one in enumerate(drawn):
            for k, (visible, thing) in enumerate(zip(one.objects, one.things, strict=True)):
                labels[i][visible] = k + 1
                texts[i, k] = thing.text
        np.savez(file, images=np.stack([one.image for one in drawn]), labels=labels, texts=texts)
    stored = np.load(file)
    return segmenters.Labelled(stored["images"], stored["labels"], stored["texts"])


if __name__ == "__main__":
    main()
