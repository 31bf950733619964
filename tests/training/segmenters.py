"""What the bundled segmenters learn from: losses and batches. `tests.training` runs the loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from masks.bundled.networks import build_sam
from tests.training.segmenter_networks import SAM_CONFIG, SIDE, build_clipseg

LESSONS = ("colour", "shape")

__all__ = ["SAM_CONFIG", "SIDE", "ClipSegTask", "Labelled", "SamTask", "build_clipseg", "build_sam"]


@dataclass(frozen=True)
class Labelled:
    """Scenes to learn from: `images` N×128×128×3 uint8, `labels` N×128×128 uint8 (0 = background, k = the k-th thing),
    `texts` N×4 strings, the things' names ("" = none)."""

    images: np.ndarray
    labels: np.ndarray
    texts: np.ndarray


def mask_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus dice, per mask; both N×H×W, the target 0..1."""
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))
    found = logits.sigmoid()
    overlap = 2 * (found * target).sum((1, 2)) + 1
    return 4 * cross + 1 - overlap / (found.sum((1, 2)) + target.sum((1, 2)) + 1)


class SamTask:
    """One step: a batch of scenes, each with a point and a box for every thing in it (Kirillov et al. 2023, §A)."""

    def __init__(self, data: Labelled):
        self.images, self.labels = data.images, data.labels

    def batch_at(self, step: int, batch: int, seed: int):
        """(pixels N×3×128×128 float, labels N×128×128, a seed each for the prompts)."""
        random = np.random.default_rng((step, 2, seed))
        picks = random.choice(len(self.images), batch, replace=False)
        images, labels = _turned(self.images[picks], self.labels[picks], random)
        return torch.from_numpy(images).permute(0, 3, 1, 2).float(), labels, random.integers(1 << 32, size=batch)

    def loss_of(self, sam, pixels: torch.Tensor, labels: np.ndarray, seeds: np.ndarray) -> torch.Tensor:
        with torch.autocast(pixels.device.type, torch.bfloat16):
            embeddings = sam.image_encoder(sam.preprocess(pixels)).float()
        each = zip(embeddings, labels, seeds, strict=True)
        losses = [_scene_loss(sam, e[None], found, np.random.default_rng(seed)) for e, found, seed in each]
        return torch.stack(losses).mean()


def _scene_loss(sam, embedding, labels: np.ndarray, random: np.random.Generator) -> torch.Tensor:
    things = [labels == k for k in np.unique(labels) if k > 0 and (labels == k).sum() > 40]
    if not things:
        return embedding.sum() * 0
    device = embedding.device
    target = F.avg_pool2d(torch.from_numpy(np.stack(things)).float()[:, None], 2)[:, 0].to(device)
    spots = torch.tensor([_spot(thing, random) for thing in things], dtype=torch.float, device=device)[:, None] + 0.5
    boxes = torch.from_numpy(np.stack([_box(thing, random) for thing in things])).float().to(device)
    point = {"points": (spots, torch.ones(len(things), 1, device=device)), "boxes": None}
    total = torch.zeros((), device=device)
    for prompt in (point, {"points": None, "boxes": boxes}):
        sparse, dense = sam.prompt_encoder(**prompt, masks=None)
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
    """One step: scenes with a phrase each (colour and shape, a shape, a colour; one in six names nothing there).

    Left alone, so small a model learns to find "anything" and never to listen. Two lessons beside the masks prevent
    that, by linear heads that are thrown away: each patch says its colour and shape, and so does each phrase.
    """

    def __init__(self, data: Labelled, tokenizer):
        self.images, self.labels, self.texts = data.images, data.labels, data.texts
        self.tokenizer = tokenizer
        self.every = sorted({text for row in self.texts for text in row if text})
        self.words = [sorted({text.split()[k] for text in self.every}) for k in (0, 1)]  # colours, shapes

    def build(self) -> torch.nn.ModuleDict:
        """The segmenter and the heads of its lessons, to be trained together."""
        model = build_clipseg(self.tokenizer)
        width, meaning = model.config.vision_config.hidden_size, model.config.projection_dim
        heads = {}
        for name, words in zip(LESSONS, self.words, strict=True):
            heads[f"patch_{name}"] = torch.nn.Linear(width, len(words) + 1)
            heads[f"phrase_{name}"] = torch.nn.Linear(meaning, len(words) + 1)
        return torch.nn.ModuleDict({"clipseg": model, "heads": torch.nn.ModuleDict(heads)})

    def batch_at(self, step: int, batch: int, seed: int):
        """(pixels, wanted masks, token ids, attention, things on each patch N×2×256, words of each phrase N×2)."""
        random = np.random.default_rng((step, 3, seed))
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
        wanted = torch.from_numpy(np.stack(targets)).float()
        return pixels, wanted, words.input_ids, words.attention_mask, *self._lessons(labels, picks, phrases)

    def loss_of(self, both, pixels, wanted, ids, attended, shown, said) -> torch.Tensor:
        with torch.autocast(pixels.device.type, torch.bfloat16):
            logits, patches, meaning = _listen(both["clipseg"], pixels, ids, attended)
        loss, heads = mask_loss(logits.float(), wanted).mean(), both["heads"]
        for k, name in enumerate(LESSONS):
            loss = loss + 0.5 * F.cross_entropy(
                heads[f"patch_{name}"](patches.float()).flatten(0, 1), shown[:, k].flatten()
            )
            loss = loss + 0.15 * F.cross_entropy(heads[f"phrase_{name}"](meaning.float()), said[:, k])
        return loss

    def _lessons(self, labels: np.ndarray, picks, phrases: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        cell = SIDE // 16
        middle = torch.from_numpy(labels[:, cell // 2 :: cell, cell // 2 :: cell].reshape(len(labels), -1)).long()
        shown, said = [], []
        for k in range(len(LESSONS)):
            number = {word: n + 1 for n, word in enumerate(self.words[k])}
            things = [[0, *(number[t.split()[k]] if t else 0 for t in row)] for row in self.texts[picks]]
            shown.append(torch.tensor(things).gather(1, middle))
            said.append(torch.tensor([next((number[w] for w in p.split() if w in number), 0) for p in phrases]))
        return torch.stack(shown, dim=1), torch.stack(said, dim=1)

    def _phrase(self, texts: list[str], random: np.random.Generator) -> str:
        pool = self.every if random.random() < 1 / 6 else texts
        colour, shape = str(random.choice(pool)).split()
        return str(random.choice((f"{colour} {shape}", shape, colour), p=(0.6, 0.2, 0.2)))


def _listen(model, pixels, ids, attended) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(N×128×128 logits, N×256×D patch features, N×P phrase embeddings) with gradients everywhere.

    The model's own forward runs both towers under no_grad, which would train the decoder alone.
    """
    seen = model.clip.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    said = model.clip.text_model(input_ids=ids, attention_mask=attended)
    meaning = model.clip.text_projection(said.pooler_output)
    layers = tuple(seen[k + 1] for k in model.extract_layers)
    return model.decoder(layers, meaning).logits, layers[-1][:, 1:], meaning
