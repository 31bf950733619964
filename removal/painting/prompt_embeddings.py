"""The prompt's embeddings, computed once; afterwards the text encoders are released."""

from __future__ import annotations

from typing import Any

import torch

from removal.painting.offloading import working_device


def encoded(pipeline: Any, prompt: str, guided: bool) -> dict[str, torch.Tensor]:
    """By their pipeline arguments; with guidance also those of the empty prompt that it is led away from.

    The pipeline has no text encoders afterwards: they weigh 0.1 to 0.8 billion parameters.
    """
    with torch.inference_mode():
        embeddings = pipeline.encode_prompt(
            prompt, device=working_device(pipeline.unet), num_images_per_prompt=1, do_classifier_free_guidance=guided
        )
    names = ["prompt_embeds", "negative_prompt_embeds"]
    if hasattr(pipeline, "text_encoder_2"):
        names += ["pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
        pipeline.text_encoder_2 = None
    pipeline.text_encoder = None
    return {name: one for name, one in zip(names, embeddings, strict=False) if one is not None}


def needed(pipeline: Any, embeddings: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The embeddings without the empty prompt's if these equal the prompt's own, since there is nothing to guide away
    from.

    So it is for an empty prompt, except for SDXL, which has zeros for them (`force_zeros_for_empty_prompt`): guidance
    leads away from these, at the cost of a second pass.
    """
    if _cancel(embeddings) and not _guided_otherwise(pipeline):
        return {name: one for name, one in embeddings.items() if not name.startswith("negative")}
    return embeddings


def _cancel(embeddings: dict[str, torch.Tensor]) -> bool:
    """True if the embeddings of the prompt and of the empty prompt are equal."""
    return all(
        embeddings[name].equal(embeddings[f"negative_{name}"])
        for name in embeddings
        if f"negative_{name}" in embeddings
    )


def _guided_otherwise(pipeline: Any) -> bool:
    """True if guidance has an effect beyond the embeddings: the UNet takes it, or an aesthetics score, as an input."""
    told = pipeline.unet.config.time_cond_proj_dim is not None  # a distilled one, which takes no second pass
    return told or bool(pipeline.config.get("requires_aesthetics_score"))
