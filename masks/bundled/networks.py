"""The bundled segmenters' networks: the classes of segment-anything and transformers with small numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

SIDE = 128  # both look at pictures of 128×128

SAM_CONFIG: dict[str, int] = {
    "image_size": SIDE,
    "patch_size": 8,
    "encoder_dim": 96,
    "encoder_depth": 4,
    "encoder_heads": 4,
    "prompt_dim": 64,
    "decoder_depth": 2,
    "decoder_heads": 4,
    "decoder_mlp": 128,
}

CLIPSEG_CONFIG: dict[str, Any] = {
    "extract_layers": [1, 2, 3],
    "reduce_dim": 64,
    "projection_dim": 64,
    "decoder_num_attention_heads": 4,
    "decoder_intermediate_size": 256,
    "vision_config": {
        "hidden_size": 96,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": 8,
        "projection_dim": 64,
    },
    "text_config": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 64,
    },
}


def build_sam(config: dict):
    """A segment_anything `Sam` of any size; its own registry knows only the three published ones."""
    import torch
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    side, width = config["image_size"], config["prompt_dim"]
    grid = side // config["patch_size"]
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=side,
            patch_size=config["patch_size"],
            embed_dim=config["encoder_dim"],
            depth=config["encoder_depth"],
            num_heads=config["encoder_heads"],
            out_chans=width,
            use_rel_pos=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=width, image_embedding_size=(grid, grid), input_image_size=(side, side), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer_dim=width,
            transformer=TwoWayTransformer(
                depth=config["decoder_depth"],
                embedding_dim=width,
                num_heads=config["decoder_heads"],
                mlp_dim=config["decoder_mlp"],
            ),
            iou_head_depth=3,
            iou_head_hidden_dim=width,
        ),
    )


def build_clipseg(tokenizer):
    """A transformers `CLIPSegForImageSegmentation` for the words of `tokenizer`."""
    import torch
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    text = CLIPSEG_CONFIG["text_config"] | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = CLIPSegForImageSegmentation(CLIPSegConfig(**CLIPSEG_CONFIG | {"text_config": text}))
    # From CLIP's tiny start every phrase embeds alike, and the decoder learns to find "anything" before it can listen.
    words = model.clip.text_model.embeddings.token_embedding.weight
    torch.nn.init.normal_(words, std=1.0)
    with torch.no_grad():  # the end token carries the phrase's meaning, so it starts with none of its own
        words[[tokenizer.bos_token_id, tokenizer.eos_token_id]] = 0
    return model
