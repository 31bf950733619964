"""The bundled segmenters before they have learnt anything: the libraries' own classes with small numbers."""

from __future__ import annotations

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
