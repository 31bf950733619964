"""The bundled Stable Diffusion pipelines: a plain one drawn from captions, and its child fine-tuned for inpainting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from removal.bundled.holes import training_pair
from removal.bundled.scenes import SIZE, TRAINING_SEEDS, scene
from removal.bundled.training import Schedule, fit

LATENT = 4  # pixels to a latent
EMPTY_CAPTIONS = 0.4  # removal asks with an empty prompt, so that is what the base hears most
CHUNK = 1000  # scenes encoded at once
FRESH_EVERY = 300  # steps between two chunks of fresh scenes and holes
WINDOW = 24  # latents; three steps in four see only this much around the hole, at half the cost of a whole scene


def build_tokenizer(texts: Iterable[str], folder: Path, length: int = 24):
    """A CLIPTokenizer whose vocabulary holds every word of `texts` as one token, saved to `folder`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    special = ["<|startoftext|>", "<|endoftext|>"]
    bpe = Tokenizer(models.BPE(unk_token=special[1], end_of_word_suffix="</w>"))
    bpe.normalizer, bpe.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=special,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator([*sorted(texts), *letters], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    bpe.model.save(str(folder))
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length, pad_token=special[1]
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def build_text_encoder(tokenizer):
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(in_channels: int = 4):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIZE // LATENT,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def build_scheduler():
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        steps_offset=1,
        timestep_spacing="leading",
    )


def widen(unet):
    """The 9-channel child of a 4-channel UNet: latents, then mask and masked-image latents with weights of zero.

    So it starts as its parent exactly, as stable-diffusion-inpainting did (Rombach et al. 2022, model card).
    """
    child = build_unet(in_channels=9)
    weights = unet.state_dict()
    weights["conv_in.weight"] = F.pad(weights["conv_in.weight"], (0, 0, 0, 0, 0, 5))
    child.load_state_dict(weights)
    return child


class _Noise(torch.nn.Module):
    """The forward process and its v-prediction target (Salimans & Ho 2022)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kept", build_scheduler().alphas_cumprod)

    def forward(self, latents, noise, steps):
        signal = self.kept[steps].sqrt()[:, None, None, None]
        spread = (1 - self.kept[steps]).sqrt()[:, None, None, None]
        return signal * latents + spread * noise, signal * noise - spread * latents


def train_base(vae, tokenizer, schedule: Schedule, folder: Path, log: Callable[[str], None] = print):
    """(UNet, text encoder) trained to draw scenes from their captions, many of them empty."""
    drawn = [scene(TRAINING_SEEDS + 100_000 + i) for i in range(4 * CHUNK)]
    latents = encode(vae, [s.image for s in drawn])
    captions = tokenizer(
        [s.caption for s in drawn], padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    empty = tokenizer("", padding="max_length", return_tensors="pt").input_ids
    model = torch.nn.ModuleDict({"unet": build_unet(), "text_encoder": build_text_encoder(tokenizer)})
    model.to(memory_format=torch.channels_last)
    noising = _Noise()

    def loss_at(step: int) -> torch.Tensor:
        random = torch.Generator().manual_seed(step)
        picks = torch.randint(len(latents), (schedule.batch,), generator=random)
        silent = torch.rand(schedule.batch, 1, generator=random) < EMPTY_CAPTIONS
        clean = latents[picks].float()
        noise = torch.randn(clean.shape, generator=random)
        steps = torch.randint(1000, (schedule.batch,), generator=random)
        noisy, target = noising(clean, noise, steps)
        with torch.autocast("cpu", torch.bfloat16):
            words = model["text_encoder"](torch.where(silent, empty, captions[picks])).last_hidden_state
            out = model["unet"](noisy.to(memory_format=torch.channels_last), steps, words).sample
        return F.mse_loss(out.float(), target)

    fit("base", model, loss_at, schedule, folder, log)
    return model["unet"], model["text_encoder"]


def train_inpainting(vae, unet, words, schedule: Schedule, folder: Path, log: Callable[[str], None] = print):
    """The 9-channel child of `unet`, trained on fresh scenes and holes with the empty prompt's embedding `words`."""
    child = widen(unet).to(memory_format=torch.channels_last)
    noising, pool = _Noise(), _Pool(vae, folder)

    def loss_at(step: int) -> torch.Tensor:
        random = torch.Generator().manual_seed(step)
        clean, masked, hole = pool.batch(step, schedule.batch, random)
        noise = torch.randn(clean.shape, generator=random)
        steps = torch.randint(1000, (schedule.batch,), generator=random)
        noisy, target = noising(clean, noise, steps)
        stacked = torch.cat([noisy, hole, masked], dim=1).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = child(stacked, steps, words.expand(schedule.batch, -1, -1)).sample
        weight = 0.25 + hole  # the hole is what counts; the rest keeps it tied to its surroundings
        return (weight * (out.float() - target) ** 2).mean()

    return fit("inpainting", child, loss_at, schedule, folder, log)


class _Pool:
    """Encoded scenes with holes: the last eight chunks, a fresh one every FRESH_EVERY steps, kept on disk to resume."""

    def __init__(self, vae, folder: Path):
        self.vae, self.folder = vae, folder / "holes"
        self.chunks: dict[int, list[torch.Tensor]] = {}
        self.folder.mkdir(parents=True, exist_ok=True)

    def batch(self, step: int, size: int, random: torch.Generator):
        newest = step // FRESH_EVERY + 1
        wanted = range(max(0, newest - 7), newest + 1)
        self.chunks = {k: self.chunks.get(k) or self._chunk(k) for k in wanted}
        which = torch.randint(len(wanted), (size,), generator=random).tolist()
        row = torch.randint(CHUNK, (size,), generator=random).tolist()
        parts = [[part[r] for part in self.chunks[wanted[w]]] for w, r in zip(which, row, strict=True)]
        if step % 4:
            parts = [_around_hole(sample, random) for sample in parts]
        return tuple(torch.stack(column).float() for column in zip(*parts, strict=True))

    def _chunk(self, number: int) -> list[torch.Tensor]:
        file = self.folder / f"{number}.pt"
        if file.exists():
            return torch.load(file, weights_only=True)
        first = TRAINING_SEEDS + 1_000_000 + number * CHUNK
        pairs = [training_pair(seed) for seed in range(first, first + CHUNK)]
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
