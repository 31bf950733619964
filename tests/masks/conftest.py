"""Tiny models with random weights, saved in the layout of their hub repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "red", "blue", "ball", "star"]


@pytest.fixture(scope="session")
def dino(tmp_path_factory) -> Path:
    """A folder in the layout of IDEA-Research/grounding-dino-tiny; 0.3 M random parameters, 12 queries."""
    import torch
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    folder = tmp_path_factory.mktemp("dino")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3"],
    )
    bert = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=12,
        num_feature_levels=3,
        max_text_len=32,
    )
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32, do_lower_case=False)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mm_dino(tmp_path_factory) -> Path:
    """A folder in the layout of iSEE-Laboratory/llmdet_tiny; 0.3 M random parameters, 12 queries."""
    import torch
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        MMGroundingDinoConfig,
        MMGroundingDinoForObjectDetection,
        SwinConfig,
    )

    folder = tmp_path_factory.mktemp("mm-dino")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3"],
    )
    bert = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    config = MMGroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=12,
        num_feature_levels=3,
        max_text_len=32,
    )
    torch.manual_seed(0)
    MMGroundingDinoForObjectDetection(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32, do_lower_case=False)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def owlv2(tmp_path_factory) -> Path:
    """A folder in the layout of google/owlv2-base-patch16-ensemble; it spells words letter by letter."""
    import torch
    from transformers import (
        CLIPTokenizer,
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessor,
        Owlv2Processor,
    )

    folder = tmp_path_factory.mktemp("owlv2")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["<|pad|>", *letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={piece: k for k, piece in enumerate(pieces)}, merges=[], model_max_length=16)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": pieces.index("<|startoftext|>"), "eos_token_id": pieces.index("<|endoftext|>")}
    text = small | ends | {"vocab_size": len(pieces), "max_position_embeddings": 16}
    vision = small | {"image_size": 64, "patch_size": 16}
    torch.manual_seed(0)
    model = Owlv2ForObjectDetection(Owlv2Config(text_config=text, vision_config=vision, projection_dim=32))
    for wild in (model.box_head.dense2.weight, model.class_head.dense0.weight):
        wild.data *= 0.1  # so that boxes stay near their place and scores away from 0 and 1
    model.save_pretrained(folder)
    Owlv2Processor(Owlv2ImageProcessor(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sam2(tmp_path_factory) -> Path:
    """A folder in the layout of facebook/sam2.1-hiera-tiny, whose weights are those of a video model."""
    import torch
    from transformers import (
        Sam2ImageProcessor,
        Sam2Processor,
        Sam2VideoConfig,
        Sam2VideoModel,
    )

    folder = tmp_path_factory.mktemp("sam2")
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [64, 64],
        "hidden_size": 8,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        image_size=64,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=32,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=32,
    )
    torch.manual_seed(0)
    Sam2VideoModel(config).save_pretrained(folder)
    images = Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    Sam2Processor(images).save_pretrained(folder)
    return folder
