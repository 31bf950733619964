"""Removal by Attentive Eraser: what a UNet says is driven away from what it says when it may look at the hole.

Sun et al., AAAI 2025, arXiv 2412.12974. Two branches with the same prompt run side by side. In one the self-attention
of the decoder is redirected (their AAS): no query attends to a key of the hole, and in the first steps the hole's own
queries are flattened, so that look-alikes of the object do not win. The other branch is plain. Their difference is
amplified: `ε = ε_plain + s·(ε_AAS − ε_plain)` (their SARG).

diffusers' pipelines for perturbed-attention guidance (PAG) compute `ε_normal + p·(ε_normal − ε_perturbed)`, which is
the same for a normal branch of AAS, a perturbed branch that is plain, and p = s − 1. It costs two evaluations of the
UNet a step, three with a prompt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from removal.checkpoints.presets import Checkpoint
from removal.painting import pipelines
from removal.painting.attention import HoleAttention, heads, joined
from removal.painting.noise import draw_in_float32
from removal.painting.offloading import working_device
from removal.painting.painter import Wrapped

if TYPE_CHECKING:
    from removal.options import Options

SCALE = 9.0  # s; this and the numbers below are the authors'
SUPPRESSION = 0.3  # of the logits of the hole's queries
SUPPRESSED = 9 / 50  # share of the steps, in which they are
STRENGTH = 0.8  # where latents are blended; a checkpoint for inpainting starts from pure noise, as it was trained
DECODER = r"up_blocks.*\.attn1$"  # the self-attention of the UNet's second half


def load(checkpoint: Checkpoint, options: Options) -> pipelines.Painter:
    """A painter that erases attentively with a checkpoint of 4 channels (its latents are blended) or of 9.

    With a prompt both terms apply, and guidance is measured inside AAS: `ε = ε_plain + s·(ε_AAS − ε_plain) +
    (g − 1)·(ε_AAS − ε_AAS of the empty prompt)`. With hole attention asked for, the layers before the decoder have it
    in all branches. Raises ValueError when the weights have another number of channels, OSError when they are
    unavailable.
    """
    if options.compile == "on":
        raise ValueError("attention that is redirected step by step cannot be compiled; use another --method")
    if checkpoint.in_channels == 9:
        painter = pipelines.load(checkpoint, options, in_channels=9)
    else:
        painter = pipelines.load(checkpoint, options, in_channels=4, usual_strength=STRENGTH)
    return replace(painter, pipeline=AttentiveEraser(_with_branches(painter.pipeline)), steady=False)


@dataclass(frozen=True)
class AttentiveEraser(Wrapped):
    """A PAG inpainting pipeline to be called as the stock one is; during a call it has the holes' attention."""

    def __call__(
        self, mask_image: torch.Tensor, num_inference_steps: int, callback_on_step_end: Any = None, **given: Any
    ) -> Any:
        """`mask_image` is N×1×R×R, 1 in whole latent cells of the holes. All else is the stock pipeline's."""
        holes = F.max_pool2d(mask_image, self.vae_scale_factor).to(working_device(self.unet))
        attention = RedirectedAttention(holes, math.ceil(num_inference_steps * SUPPRESSED))
        before = self.unet.attn_processors

        def after_step(*state: Any) -> dict[str, Any]:
            tensors = attention.after_step(*state)
            return callback_on_step_end(*state) if callback_on_step_end else tensors

        self.pipeline.set_pag_applied_layers(DECODER, (attention, attention))  # the same with a prompt and without
        try:
            return self.pipeline(
                mask_image=mask_image,
                num_inference_steps=num_inference_steps,
                pag_scale=SCALE - 1,
                callback_on_step_end=after_step,
                **given,
            )
        finally:
            self.unet.set_attn_processor(before)  # the pipeline itself does so only where nothing fails


class RedirectedAttention:
    """An attention processor for self-attention layers: AAS in all branches of the batch but the last, which is plain.

    `holes` is N×1×h×w, 1 in the latent cells to paint; the batch holds the N pictures once a branch, in PAG's order
    ([empty prompt,] prompt, perturbed). In the first `suppressed_steps` the logits of the holes' queries are scaled by
    `SUPPRESSION`. A picture whose hole covers every token of a layer is left alone there.
    """

    def __init__(self, holes: torch.Tensor, suppressed_steps: int):
        self.holes = HoleAttention(holes)
        self.pictures = len(holes)
        self.suppressed_steps = suppressed_steps
        self.step = 0

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states=None, attention_mask=None, **_: Any
    ) -> torch.Tensor:
        batch, tokens, _ = hidden_states.shape
        query, key, value = heads(attn, hidden_states)
        hole = self._branches(batch, tokens).to(query.device)
        if self.step < self.suppressed_steps:  # a query scaled is its logits scaled
            query = torch.where(hole[:, None, :, None], query * SUPPRESSION, query)
        outside = torch.zeros(batch, 1, 1, tokens, dtype=query.dtype, device=query.device)
        outside.masked_fill_(hole[:, None, None], -torch.inf)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=outside, scale=attn.scale)
        return joined(attn, attended)

    def after_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """Called by the pipeline at the end of each step. Changes no tensor."""
        self.step = step + 1
        return tensors

    def _branches(self, batch: int, tokens: int) -> torch.Tensor:
        """batch×tokens bool: the holes of every branch, of which the last has none and so is plain."""
        hole = self.holes.tokens(tokens)
        redirected = hole.repeat(batch // self.pictures - 1, 1)
        return torch.cat([redirected, torch.zeros_like(hole)])


def _with_branches(pipeline: Any) -> Any:
    """The PAG pipeline of the same parts as a stock inpainting pipeline (which `from_pipe` would cast once more)."""
    from diffusers import StableDiffusionPAGInpaintPipeline, StableDiffusionXLPAGInpaintPipeline

    if hasattr(pipeline, "text_encoder_2"):
        kind: Any = StableDiffusionXLPAGInpaintPipeline
        aesthetics = pipeline.config.requires_aesthetics_score
        settings = {"add_watermarker": False, "requires_aesthetics_score": aesthetics}
    else:
        kind, settings = StableDiffusionPAGInpaintPipeline, {"requires_safety_checker": False}
    branched = kind(**pipeline.components, **settings)
    branched.set_progress_bar_config(disable=True)
    return draw_in_float32(branched)
