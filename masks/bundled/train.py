"""Trains the bundled segmenters on a folder of scenes: `python -m masks.bundled.train SCENES.npz TOKENIZER WORK`.

`removal.bundled.train` draws the scenes and runs this as a program of its own: the two rooms share files, not imports.
SCENES.npz: `images` N×128×128×3 uint8, `labels` N×128×128 uint8 (0 = background, k = the k-th thing),
`texts` N×4 strings, the things' names ("" = none).
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from masks.bundled.networks import SAM_CONFIG, build_clipseg, build_sam

SAVE_EVERY = 250


def main(scenes: Path, tokenizer_folder: Path, work: Path, steps: int = 4000) -> None:
    """Train both segmenters from `scenes` and save them under `work/sam` and `work/clipseg`."""
    from transformers import CLIPSegProcessor, CLIPTokenizer, ViTImageProcessor

    data = np.load(scenes)
    torch.manual_seed(0)
    sam = fit("sam", build_sam(SAM_CONFIG), SamTask(data), steps, 12, 8e-4, work)
    (work / "sam").mkdir(exist_ok=True)
    torch.save({k: v.half() for k, v in sam.state_dict().items()}, work / "sam" / "sam.pth")
    (work / "sam" / "config.json").write_text(json.dumps(SAM_CONFIG, indent=2) + "\n")

    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    clipseg = fit("clipseg", build_clipseg(tokenizer), ClipSegTask(data, tokenizer), 2 * steps, 24, 8e-4, work)
    clipseg.half().save_pretrained(work / "clipseg")
    side = {"height": SAM_CONFIG["image_size"], "width": SAM_CONFIG["image_size"]}
    pictures = ViTImageProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    CLIPSegProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(work / "clipseg")


def mask_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus dice, per mask; both N×H×W, the target 0..1."""
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))
    found = logits.sigmoid()
    overlap = 2 * (found * target).sum((1, 2)) + 1
    return 4 * cross + 1 - overlap / (found.sum((1, 2)) + target.sum((1, 2)) + 1)


class SamTask:
    """One step: a batch of scenes, each with a point and a box for every thing in it (Kirillov et al. 2023, §A)."""

    def __init__(self, data):
        self.images, self.labels = data["images"], data["labels"]

    def __call__(self, sam, step: int, batch: int) -> torch.Tensor:
        random = np.random.default_rng((step, 2))
        picks = random.choice(len(self.images), batch, replace=False)
        images, labels = _turned(self.images[picks], self.labels[picks], random)
        pixels = sam.preprocess(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = sam.image_encoder(pixels).float()
        losses = [_scene_loss(sam, e[None], found, random) for e, found in zip(embeddings, labels, strict=True)]
        return torch.stack([loss for loss in losses if loss is not None]).mean()


def _scene_loss(sam, embedding, labels: np.ndarray, random: np.random.Generator) -> torch.Tensor | None:
    things = [labels == k for k in np.unique(labels) if k > 0 and (labels == k).sum() > 40]
    if not things:
        return None
    target = F.avg_pool2d(torch.from_numpy(np.stack(things)).float()[:, None], 2)[:, 0]
    total = torch.zeros(())
    for prompt in ("point", "box"):
        points = boxes = None
        if prompt == "point":
            spots = [_spot(thing, random) for thing in things]
            points = (torch.tensor(spots, dtype=torch.float)[:, None] + 0.5, torch.ones(len(things), 1))
        else:
            boxes = torch.from_numpy(np.stack([_box(thing, random) for thing in things])).float()
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
        logits, quality = sam.mask_decoder.predict_masks(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        per_mask = torch.stack([mask_loss(logits[:, k], target) for k in range(4)], dim=1)
        with torch.no_grad():
            found, wanted = logits > 0, target[:, None] > 0.5
            iou = (found & wanted).sum((2, 3)) / (found | wanted).sum((2, 3)).clamp(min=1)
        best_of_three = per_mask[:, 1:].min(dim=1).values
        total = total + (per_mask[:, 0] + 0.5 * best_of_three).mean() + F.mse_loss(quality, iou)
    return total / 2


def _spot(thing: np.ndarray, random: np.random.Generator) -> tuple[int, int]:
    y, x = np.nonzero(thing)
    pick = int(random.integers(len(x)))
    return int(x[pick]), int(y[pick])


def _box(thing: np.ndarray, random: np.random.Generator) -> np.ndarray:
    y, x = np.nonzero(thing)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) + random.integers(-2, 3, 4)


def _turned(images: np.ndarray, labels: np.ndarray, random: np.random.Generator):
    """Flips and quarter turns, one for the whole batch."""
    turns, flip = int(random.integers(4)), bool(random.integers(2))
    images, labels = np.rot90(images, turns, (1, 2)), np.rot90(labels, turns, (1, 2))
    if flip:
        images, labels = images[:, :, ::-1], labels[:, :, ::-1]
    return np.ascontiguousarray(images), np.ascontiguousarray(labels)


class ClipSegTask:
    """One step: scenes with a phrase each (colour and shape, a shape, a colour; one in six names nothing there)."""

    def __init__(self, data, tokenizer):
        self.images, self.labels, self.texts = data["images"], data["labels"], data["texts"]
        self.tokenizer = tokenizer
        self.every = sorted({text for row in self.texts for text in row if text})

    def __call__(self, model, step: int, batch: int) -> torch.Tensor:
        random = np.random.default_rng((step, 3))
        picks = random.choice(len(self.images), batch, replace=False)
        images, labels = _turned(self.images[picks], self.labels[picks], random)
        phrases, targets = [], []
        for texts, found in zip(self.texts[picks], labels, strict=True):
            phrase = self._phrase([t for t in texts if t], random)
            phrases.append(phrase)
            named = [k + 1 for k, t in enumerate(texts) if t and set(phrase.split()) <= set(t.split())]
            targets.append(np.isin(found, named))
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        words = self.tokenizer(phrases, padding=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            logits = clipseg_logits(model, pixels, words)
        return mask_loss(logits.float(), torch.from_numpy(np.stack(targets)).float()).mean()

    def _phrase(self, texts: list[str], random: np.random.Generator) -> str:
        pool = self.every if random.random() < 1 / 6 else texts
        colour, shape = str(random.choice(pool)).split()
        return str(random.choice((f"{colour} {shape}", shape, colour), p=(0.6, 0.2, 0.2)))


def clipseg_logits(model, pixels: torch.Tensor, words) -> torch.Tensor:
    """N×128×128 logits with gradients everywhere: the model's own forward runs both towers under no_grad."""
    seen = model.clip.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    pooled = model.clip.text_model(**words).pooler_output
    layers = tuple(seen[k + 1] for k in model.extract_layers)
    return model.decoder(layers, model.clip.text_projection(pooled)).logits


def fit(name: str, model, task: Callable, steps: int, batch: int, rate: float, work: Path):
    """Train `model` for `steps` and return the running average of its weights; resumes from `work/NAME.pt`."""
    state_file = work / f"{name}.pt"
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    step, recent, began, first = 0, 0.0, time.monotonic(), 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, recent, first = state["average"], state["step"], state["recent"], state["step"]
    model.train()
    while step < steps:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        loss = task(model, step, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        keep = min(0.997, (step + 1) / (step + 30))
        for key, value in model.state_dict().items():
            average[key].lerp_(value, 1 - keep) if value.is_floating_point() else average[key].copy_(value)
        recent = loss.item() if step == 0 else 0.98 * recent + 0.02 * loss.item()
        step += 1
        if step % 50 == 0 or step == steps:
            left = (time.monotonic() - began) / (step - first) * (steps - step) / 60
            print(f"{name}: step {step} of {steps}, loss {recent:.4f}, {left:.0f} min left", flush=True)
        if step % SAVE_EVERY == 0 or step == steps:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
            torch.save(state | {"step": step, "recent": recent}, state_file.with_suffix(".part"))
            state_file.with_suffix(".part").replace(state_file)
    model.load_state_dict(average)
    return model.eval()


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]), *(int(argument) for argument in sys.argv[4:5]))
