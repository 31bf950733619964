"""The bundled Segment Anything's network: the library's own classes with small numbers."""

from __future__ import annotations

from functools import partial


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
