"""Networks by their real configurations, with random weights or none at all, and what a row of them computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

LATENT = {"sd15": 64, "sd2": 64, "sdxl": 128}  # cells a side, of 8 pixels
WIDE = {"block_out_channels": (320, 640, 1280, 1280), "sample_size": 64, "in_channels": 9}
UNETS: dict[str, dict[str, Any]] = {
    "sd15": WIDE | {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": WIDE | {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    "sdxl": {
        "sample_size": 128,
        "in_channels": 9,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
TEXT = {
    "sd15": [(768, 12, 12)],
    "sd2": [(1024, 23, 16)],
    "sdxl": [(768, 12, 12), (1280, 32, 20)],
}  # width, layers, heads
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
SHRINK = 10  # of a tiny network's channels, which 32 groups must divide


def unet(family: str, small: bool = False) -> Any:
    from diffusers import UNet2DConditionModel

    config = UNETS[family]
    if small:
        widths = tuple(width // SHRINK for width in config["block_out_channels"])
        config = config | {"block_out_channels": widths, "attention_head_dim": 4, "sample_size": 16}
        config["transformer_layers_per_block"] = 1
    return UNet2DConditionModel(**config)


def vae(family: str, small: bool = False) -> Any:
    from diffusers import AutoencoderKL

    widths = (32, 32, 64, 64) if small else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=widths,
        layers_per_block=1 if small else 2,
        latent_channels=4,
        scaling_factor=0.13025 if family == "sdxl" else 0.18215,
        **BLOCKS,
    )


def save(family: str, folder: Path, small: bool = False) -> Path:
    """A checkpoint for inpainting in the layout of the real ones, with random weights; half precision at full size."""
    from diffusers import PNDMScheduler, StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    from removal.checkpoints.presets import BUNDLED

    tokenizer = CLIPTokenizer.from_pretrained(BUNDLED / "base" / "tokenizer")
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    texts = [
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=width, intermediate_size=64 if small else 4 * width,
            num_hidden_layers=2 if small else layers, num_attention_heads=heads, projection_dim=width,
            max_position_embeddings=tokenizer.model_max_length, **ends,
        )
        for width, layers, heads in TEXT[family]
    ]  # fmt: skip
    parts = {
        "vae": vae(family, small),
        "text_encoder": CLIPTextModel(texts[0]),
        "tokenizer": tokenizer,
        "unet": unet(family, small),
        "scheduler": PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1),
    }
    if family == "sdxl":
        second = CLIPTextModelWithProjection(texts[1])
        made: Any = StableDiffusionXLInpaintPipeline(**parts, text_encoder_2=second, tokenizer_2=tokenizer)
    else:
        none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        made = StableDiffusionInpaintPipeline(**parts, **none)
    (made if small else made.to(torch.float16)).save_pretrained(folder)
    return folder


def save_lama(file: Path) -> Path:
    """Weights of big LaMa, at random."""
    from safetensors.torch import save_file
    from spandrel.architectures.LaMa import LaMa

    save_file(LaMa(in_nc=4, out_nc=3).state_dict(), str(file))
    return file


def unet_inputs(network: Any, rows: int, side: int, device: str, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """What a UNet is given in a step: latents rows×9×side×side, the time, the prompt, and what SDXL is told besides."""
    made: dict[str, Any] = {"device": device, "dtype": dtype}
    size = network.config.projection_class_embeddings_input_dim or 0
    return {
        "sample": torch.zeros(rows, 9, side, side, **made),
        "timestep": torch.tensor(1, device=device),
        "encoder_hidden_states": torch.zeros(rows, 77, network.config.cross_attention_dim, **made),
        "added_cond_kwargs": size
        and {"text_embeds": torch.zeros(rows, size - 6 * 256, **made), "time_ids": torch.zeros(rows, 6, **made)},
    }


def teraflops(family: str, small: bool = False) -> dict[str, float]:
    """Operations (two to a multiplication) of a row of the UNet, of an encoding and a decoding, none of them done."""
    side = unet_side(family, small)
    with torch.device("meta"):
        network, coder = unet(family, small), vae(family, small)
        given = unet_inputs(network, 1, side, "meta")
        return {
            "unet": _counted(lambda: network(**given)),
            "encode": _counted(lambda: coder.encode(torch.empty(1, 3, 8 * side, 8 * side))),
            "decode": _counted(lambda: coder.decode(torch.empty(1, 4, side, side))),
        }


def unet_side(family: str, small: bool) -> int:
    return 16 if small else LATENT[family]


def _counted(work: Any) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 1e12
