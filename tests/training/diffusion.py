"""The bundled Stable Diffusion pipelines: a plain one drawn from captions, and its child fine-tuned for inpainting."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from removal.bundled.scenes import SIZE, TRAINING_SEEDS, scene
from tests.training.holes import training_pair
from tests.training.loop import Lesson, Schedule, fit
from tests.training.networks import LATENT, build_scheduler, build_text_encoder, build_unet, widen

EMPTY_CAPTIONS = 0.3  # removal asks with an empty prompt, so the base must have heard it often
FRESH_EVERY = 450  # steps between two chunks of fresh scenes and holes
WINDOW = 24  # latents; three steps in four see only this much around the hole, at half the cost of a whole scene


class _Noise(torch.nn.Module):
    """The forward process and its v-prediction target (Salimans & Ho 2022)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kept", build_scheduler().alphas_cumprod)

    def forward(self, latents, noise, steps):
        signal = self.kept[steps].sqrt()[:, None, None, None]
        spread = (1 - self.kept[steps]).sqrt()[:, None, None, None]
        return signal * latents + spread * noise, signal * noise - spread * latents


def train_early(vae, tokenizer, schedule: Schedule, folder: Path, device: str, log: Callable[[str], None] = print):
    """(UNet, text encoder) from nothing: what every UNet here descends from. The text encoder stays as it is then."""
    model = torch.nn.ModuleDict({"unet": build_unet(), "text_encoder": build_text_encoder(tokenizer)})
    lesson = _drawing(vae, tokenizer, schedule, TRAINING_SEEDS + 100_000, "day")
    fit("early", _for_training(model, device), lesson, schedule, folder, log)
    return model["unet"].cpu(), model["text_encoder"].cpu()


def train_drawing(name: str, vae, tokenizer, early, schedule: Schedule, folder: Path, device: str, log=print):
    """`early` (UNet, text encoder) trained on: `base` draws scenes by day, `style` by night. Returns the UNet."""
    unet, text_encoder = early
    first, look = {"base": (TRAINING_SEEDS + 200_000, "day"), "style": (TRAINING_SEEDS + 300_000, "night")}[name]
    model = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder.requires_grad_(False)})
    lesson = _drawing(vae, tokenizer, schedule, first, look)
    fit(name, _for_training(model, device), lesson, schedule, folder, log)
    return unet.cpu()


def _drawing(vae, tokenizer, schedule: Schedule, first: int, look: str) -> Lesson:
    """Drawing scenes, seeds from `first` on, from their captions.

    Early on, two steps in three see a window only, at half the cost.
    """
    empty = tokenizer("", padding="max_length", return_tensors="pt").input_ids

    @functools.cache
    def scenes() -> tuple[torch.Tensor, torch.Tensor]:  # a run that is finished already needs none
        drawn = [scene(first + i, look) for i in range(schedule.scenes)]
        texts = [one.caption for one in drawn]
        captions = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return encode(vae, [one.image for one in drawn]), captions

    noising = _Noise()

    def batch_at(step: int):
        random, (latents, captions) = schedule.random(step), scenes()
        picks = torch.randint(len(latents), (schedule.batch,), generator=random)
        silent = torch.rand(schedule.batch, 1, generator=random) < EMPTY_CAPTIONS
        clean = latents[picks].float()
        if step % 3 and step < 0.75 * schedule.steps:
            top, left = torch.randint(clean.shape[-1] - WINDOW + 1, (2,), generator=random).tolist()
            clean = clean[:, :, top : top + WINDOW, left : left + WINDOW]
        noise = torch.randn(clean.shape, generator=random)
        steps = _timesteps(schedule.batch, random)
        return *noising(clean, noise, steps), steps, torch.where(silent, empty, captions[picks])

    def loss_of(model, noisy, target, steps, words) -> torch.Tensor:
        with torch.autocast(noisy.device.type, torch.bfloat16):
            meaning = model["text_encoder"](words).last_hidden_state
            out = model["unet"](noisy.to(memory_format=torch.channels_last), steps, meaning).sample
        return F.mse_loss(out.float(), target)

    return Lesson(batch_at, loss_of)


def _timesteps(count: int, random: torch.Generator) -> torch.Tensor:
    """Half of them anywhere, half around 600, where shapes are decided (logit-normal, Esser et al. 2024, §3.1)."""
    anywhere = torch.rand(count, generator=random)
    middle = torch.sigmoid(torch.randn(count, generator=random) + 0.4)
    return (1000 * torch.where(torch.arange(count) % 2 == 0, anywhere, middle)).long()


def train_inpainting(vae, unet, words, schedule: Schedule, folder: Path, device: str, log=print):
    """The 9-channel child of `unet`, trained on fresh scenes and holes with the empty prompt's embedding `words`."""
    child = _for_training(widen(unet), device)
    return fit("inpainting", child, _filling(vae, words, schedule, folder, sees_hole=True), schedule, folder, log).cpu()


def train_control(vae, unet, words, schedule: Schedule, folder: Path, device: str, log=print):
    """`unet` with its 4 channels trained on the very batches and losses of `train_inpainting`.

    What is left between the two is what the mask and the masked image do, not the steps or the clean plates.
    """
    lesson = _filling(vae, words, schedule, folder, sees_hole=False)
    return fit("control", _for_training(unet, device), lesson, schedule, folder, log).cpu()


def _filling(vae, words, schedule: Schedule, folder: Path, sees_hole: bool) -> Lesson:
    noising, pool = _Noise(), _Pool(vae, folder, schedule.scenes)

    def batch_at(step: int):
        random = schedule.random(step)
        clean, masked, hole = pool.batch(step, schedule.batch, random)
        noise = torch.randn(clean.shape, generator=random)
        steps = torch.randint(1000, (schedule.batch,), generator=random)
        return *noising(clean, noise, steps), steps, hole, masked

    def loss_of(unet, noisy, target, steps, hole, masked) -> torch.Tensor:
        seen = torch.cat([noisy, hole, masked], dim=1) if sees_hole else noisy
        meaning = words.to(seen.device).expand(len(seen), -1, -1)
        with torch.autocast(seen.device.type, torch.bfloat16):
            out = unet(seen.to(memory_format=torch.channels_last), steps, meaning).sample
        weight = 0.25 + hole  # the hole is what counts; the rest keeps it tied to its surroundings
        return (weight * (out.float() - target) ** 2).mean()

    return Lesson(batch_at, loss_of)


def _for_training(model, device: str):
    """On its device, in the layout and with the attention that train fastest."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    for part in model.modules():
        if isinstance(part, UNet2DConditionModel):
            part.set_attn_processor(AttnProcessor())  # torch's fused one is slow backwards on a CPU: 1.6 times a step
    return model.to(device, memory_format=torch.channels_last)


class _Pool:
    """Encoded scenes with holes: the last eight chunks, a fresh one every FRESH_EVERY steps, kept on disk to resume."""

    def __init__(self, vae, folder: Path, size: int):
        self.vae, self.folder, self.size = vae, folder / "holes", size
        self.chunks: dict[int, list[torch.Tensor]] = {}
        self.folder.mkdir(parents=True, exist_ok=True)

    def batch(self, step: int, size: int, random: torch.Generator):
        newest = step // FRESH_EVERY + 1
        wanted = range(max(0, newest - 7), newest + 1)
        self.chunks = {k: self.chunks.get(k) or self._chunk(k) for k in wanted}
        which = torch.randint(len(wanted), (size,), generator=random).tolist()
        row = torch.randint(self.size, (size,), generator=random).tolist()
        parts = [[part[r] for part in self.chunks[wanted[w]]] for w, r in zip(which, row, strict=True)]
        if step % 4:
            parts = [_around_hole(sample, random) for sample in parts]
        return tuple(torch.stack(column).float() for column in zip(*parts, strict=True))

    def _chunk(self, number: int) -> list[torch.Tensor]:
        file = self.folder / f"{number}.pt"
        if file.exists():
            return torch.load(file, weights_only=True)
        first = TRAINING_SEEDS + 1_000_000 + number * self.size
        pairs = [training_pair(seed) for seed in range(first, first + self.size)]
        holes = F.max_pool2d(torch.from_numpy(np.stack([hole for _, hole in pairs])).float()[:, None], LATENT)
        covered = F.interpolate(holes, scale_factor=LATENT)
        images = [image for image, _ in pairs]
        chunk = [encode(self.vae, images), encode(self.vae, images, covered), holes.half()]
        part = file.with_suffix(".part")
        torch.save(chunk, part)
        part.replace(file)
        return chunk


def _around_hole(sample: list[torch.Tensor], random: torch.Generator) -> list[torch.Tensor]:
    """A window of a sample's latents, masked latents and hole (the last) with some cell of the hole near its middle."""
    cells = sample[-1][0].nonzero()
    y, x = cells[int(torch.randint(len(cells), (), generator=random))] - torch.randint(6, 18, (2,), generator=random)
    top, left = (int(v.clamp(0, SIZE // LATENT - WINDOW)) for v in (y, x))
    return [part[:, top : top + WINDOW, left : left + WINDOW] for part in sample]


def encode(vae, images, covered: torch.Tensor | None = None) -> torch.Tensor:
    """Scaled latents, N×4×h×w half, of N images H×W×3 uint8; grey where `covered` (N×1×H×W) is 1."""
    parts = []
    for first in range(0, len(images), 50):
        batch = torch.from_numpy(np.stack(images[first : first + 50])).permute(0, 3, 1, 2).float() / 127.5 - 1
        if covered is not None:
            batch = batch * (covered[first : first + 50] < 0.5)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            parts.append((vae.encode(batch).latent_dist.mean * vae.config.scaling_factor).half())
    return torch.cat(parts)
