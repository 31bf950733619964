"""Tiny models with random weights, saved in the layout of their hub repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "red", "blue", "ball", "star"]


@pytest.fixture(scope="session")
def dino(tmp_path_factory) -> Path:
    """A folder in the layout of IDEA-Research/grounding-dino-tiny; 0.3 M random parameters, 12 queries."""
    return _grounding(tmp_path_factory.mktemp("dino"), "GroundingDino")


@pytest.fixture(scope="session")
def mm_dino(tmp_path_factory) -> Path:
    """The same in the layout of iSEE-Laboratory/llmdet_tiny."""
    return _grounding(tmp_path_factory.mktemp("mm-dino"), "MMGroundingDino")


def _grounding(folder: Path, family: str) -> Path:
    """Grounding DINO or one of its successors, which share their processor and settings."""
    import torch
    import transformers
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

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
    config = getattr(transformers, f"{family}Config")(
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
    getattr(transformers, f"{family}ForObjectDetection")(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32, do_lower_case=False)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def rf_detr(tmp_path_factory) -> Path:
    """A folder in the layout of Roboflow/rf-detr-seg-medium with 8 queries and three classes."""
    import torch
    from transformers import RfDetrConfig, RfDetrForInstanceSegmentation, RfDetrImageProcessor

    folder = tmp_path_factory.mktemp("rf-detr")
    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "num_windows": 2,
        "num_register_tokens": 0,
        "out_features": ["stage1", "stage2"],
    }
    config = RfDetrConfig(
        backbone_config=backbone,
        d_model=32,
        c2f_num_blocks=1,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2,
        decoder_n_points=2,
        num_queries=8,
        group_detr=2,
        intermediate_size=32,
        id2label={0: "person", 1: "traffic light", 2: "dog"},
        label2id={"person": 0, "traffic light": 1, "dog": 2},
    )
    torch.manual_seed(0)
    network = RfDetrForInstanceSegmentation(config)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    network.save_pretrained(folder)
    RfDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
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


@pytest.fixture(scope="session")
def sam3(tmp_path_factory) -> Path:
    """A folder in the layout of facebook/sam3, whose weights are those of a video model: a detector and a tracker."""
    import torch
    from transformers import Sam3Processor, Sam3VideoConfig, Sam3VideoModel

    folder = tmp_path_factory.mktemp("sam3")
    tracker = {
        "model_type": "sam3_tracker_video",
        "vision_config": _SAM3_VISION,
        "prompt_encoder_config": {"hidden_size": 32, "image_size": 112, "patch_size": 14},
        "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        "image_size": 112,
        "memory_attention_hidden_size": 32,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [8, 8],
        "memory_encoder_hidden_size": 32,
        "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": 32,
        "memory_fuser_embed_dim": 32,
        "memory_fuser_intermediate_dim": 32,
    }
    text = _SAM3_TEXT | {"model_type": "clip_text_model", "max_position_embeddings": 32}
    detector = {"model_type": "sam3", "text_config": text, **_SAM3_DETECTOR}
    torch.manual_seed(0)
    network = Sam3VideoModel(Sam3VideoConfig(detector_config=detector, tracker_config=tracker, low_res_mask_size=32))
    network.save_pretrained(folder)
    Sam3Processor(_sam3_images(), _letters()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sam3_lite(tmp_path_factory) -> Path:
    """A folder in the layout of SAM3-LiteText: the detector alone, with another text encoder."""
    import torch
    from transformers import Sam3LiteTextConfig, Sam3LiteTextModel, Sam3Processor

    folder = tmp_path_factory.mktemp("sam3-lite")
    torch.manual_seed(0)
    text = _SAM3_TEXT | {"max_position_embeddings": 77}
    Sam3LiteTextModel(Sam3LiteTextConfig(text_config=text, **_SAM3_DETECTOR)).save_pretrained(folder)
    Sam3Processor(_sam3_images(), _letters()).save_pretrained(folder)
    return folder


_SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
_SAM3_VISION = {
    "model_type": "sam3_vision_model",
    "backbone_config": {
        "model_type": "sam3_vit_model",
        **_SMALL,
        "num_hidden_layers": 2,
        "image_size": 112,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    },
    "fpn_hidden_size": 32,
    "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
}
_SAM3_TEXT = {**_SMALL, "vocab_size": 55, "projection_dim": 16, "num_hidden_layers": 2}
_SAM3_DETECTOR = {
    "vision_config": _SAM3_VISION,
    "geometry_encoder_config": _SMALL | {"num_layers": 1},
    "detr_encoder_config": _SMALL | {"num_layers": 1},
    "detr_decoder_config": _SMALL | {"num_layers": 2, "num_queries": 8},
    "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
}


def _sam3_images():
    from transformers import Sam3ImageProcessor

    return Sam3ImageProcessor(size={"height": 112, "width": 112}, mask_size={"height": 32, "width": 32})


def _letters():
    """A tokenizer that spells words letter by letter."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["<|pad|>", *letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: k for k, piece in enumerate(pieces)}, merges=[], model_max_length=32)
