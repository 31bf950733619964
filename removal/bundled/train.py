"""Trains every bundled checkpoint again: `python -m removal.bundled.train`. From a seed, resumable, hours on a CPU.

A program, not a library: the one place that stands above both rooms, since the segmenters learn from the same scenes.
State goes to --work every few hundred steps; the same command goes on from there. Finished checkpoints replace the
package's own.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from masks.bundled import training as segmenters
from removal.bundled import autoencoder, diffusion
from removal.bundled.scenes import BACKGROUNDS, COLOURS, SHAPES, TRAINING_SEEDS, scene
from removal.bundled.training import Schedule, fit

HERE = Path(__file__).parent
MASKS = HERE.parents[1] / "masks" / "bundled"
SCHEDULES = {
    "autoencoder": Schedule(3200, 8, 1.5e-3),
    "base": Schedule(1000, 24, 8e-4),
    "inpainting": Schedule(6000, 24, 8e-4),
    "sam": Schedule(1600, 12, 8e-4),
    "clipseg": Schedule(2800, 24, 8e-4),
}


def main() -> None:
    """Run the stages that are asked for, in order; each needs those before it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training"), help="where state is kept between runs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument("--only", choices=[*STAGES], nargs="*", help="stages; all by default")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    for name, stage in STAGES.items():
        if not given.only or name in given.only:
            torch.manual_seed(0)
            stage(given.work)


def train_autoencoder(work: Path) -> None:
    vae = autoencoder.train(SCHEDULES["autoencoder"], work, say)
    vae.save_pretrained(work / "autoencoder")


def train_base(work: Path) -> None:
    tokenizer = _tokenizer(work)
    unet, text_encoder = diffusion.train_base(_autoencoder(work), tokenizer, SCHEDULES["base"], work, say)
    text_encoder.save_pretrained(work / "text_encoder")
    unet.save_pretrained(work / "base")
    save_pipeline(work, unet, HERE / "base")


def train_inpainting(work: Path) -> None:
    from diffusers import UNet2DConditionModel

    base = UNet2DConditionModel.from_pretrained(work / "base")
    unet = diffusion.train_inpainting(_autoencoder(work), base, _silence(work), SCHEDULES["inpainting"], work, say)
    save_pipeline(work, unet, HERE / "inpainting")


def train_sam(work: Path) -> None:
    task = segmenters.SamTask(_labelled(work))
    sam = _fit("sam", segmenters.build_sam(segmenters.SAM_CONFIG), task, work)
    folder = MASKS / "sam"
    folder.mkdir(exist_ok=True)
    torch.save({key: value.half() for key, value in sam.state_dict().items()}, folder / "sam.pth")
    (folder / "config.json").write_text(json.dumps(segmenters.SAM_CONFIG, indent=2) + "\n")


def train_clipseg(work: Path) -> None:
    from transformers import CLIPSegProcessor, ViTImageProcessor

    tokenizer = _tokenizer(work)
    task = segmenters.ClipSegTask(_labelled(work), tokenizer)
    clipseg = _fit("clipseg", task.build(), task, work)["clipseg"]
    clipseg.half().save_pretrained(MASKS / "clipseg")
    side = {"height": segmenters.SIDE, "width": segmenters.SIDE}
    pictures = ViTImageProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    CLIPSegProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(MASKS / "clipseg")
    (MASKS / "words.txt").write_text("\n".join([*COLOURS, *SHAPES]) + "\n")


STAGES: dict[str, Callable[[Path], None]] = {
    "autoencoder": train_autoencoder,
    "base": train_base,
    "inpainting": train_inpainting,
    "sam": train_sam,
    "clipseg": train_clipseg,
}


def save_pipeline(work: Path, unet, folder: Path) -> None:
    """A diffusers folder in fp16: a plain Stable Diffusion pipeline for 4 channels, an inpainting one for 9."""
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline
    from transformers import CLIPTextModel

    kind = StableDiffusionInpaintPipeline if unet.config.in_channels == 9 else StableDiffusionPipeline
    pipeline = kind(
        vae=_autoencoder(work).half(),
        text_encoder=CLIPTextModel.from_pretrained(work / "text_encoder").half(),
        tokenizer=_tokenizer(work),
        unet=unet.half(),
        scheduler=diffusion.build_scheduler(),
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


def _fit(name: str, model, task, work: Path):
    schedule = SCHEDULES[name]
    return fit(name, model, lambda step: task(model, step, schedule.batch), schedule, work, say)


def _autoencoder(work: Path):
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(work / "autoencoder").eval()


def _tokenizer(work: Path):
    from transformers import CLIPTokenizer

    folder = work / "tokenizer"
    if not folder.exists():
        words = [f"a {c} {s} and a {c} {s} on {b}" for c in COLOURS for s in SHAPES for b in BACKGROUNDS]
        diffusion.build_tokenizer(words, folder)
    return CLIPTokenizer.from_pretrained(folder)


def _silence(work: Path) -> torch.Tensor:
    """The empty prompt's embedding."""
    from transformers import CLIPTextModel

    empty = _tokenizer(work)("", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        return CLIPTextModel.from_pretrained(work / "text_encoder")(empty).last_hidden_state


def _labelled(work: Path, count: int = 6000) -> segmenters.Labelled:
    """Scenes with the visible part of every thing numbered, kept on disk between stages."""
    file = work / "scenes.npz"
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
