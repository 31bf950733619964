"""Job: every setting of a run, once, with its default, its limits and its help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from flows.settings.credentials import refuse_secrets
from flows.settings.paths import plain_path
from flows.settings.values import (
    Allowance,
    Dilation,
    MethodName,
    Part,
    Prefill,
    Switch,
    check_address,
    check_dilation,
    check_failures,
    check_label,
    check_phrase,
    check_region,
    checked,
    each,
    on_or_off,
    one_or_several,
    one_or_several_numbers,
    parse_box,
    parse_part,
    parse_point,
)

if TYPE_CHECKING:
    from masks.selection import Selection

MAX_PIXELS = 100_000_000  # 300 MB decoded, of which a dozen may be in memory at once
PATHS = frozenset({"source", "target", "prompts", "coco", "masks"})
ON_DEVICE = ("device", "dtype", "batch_size", "compile", "offload")
NO_EFFECT_ON_PIXELS = frozenset(  # settings that may change between runs on one target
    {
        *PATHS,
        "category",
        *ON_DEVICE,
        "existing",
        "limit",
        "shard",
        "max_failures",
        *("max_pixels", "hang_timeout"),  # may be raised for pictures that failed because of them
        "canary",
        "report_url",
        "offline",
        "accept_license",
        "gif",
        "copy_others",
        "prune",
        *("mask_pattern", "mask_label", "mask_alpha"),  # part of each picture's request
        "concat",
        "verify",
        "provenance",
    }
)
REMOVER_OPTIONS = (
    *("method", "steps", "strength", "prefill", "attention", "prompt", "guidance", "context", "lora", "vae"),
)
REMOVAL_SETTINGS = frozenset(
    {"model", "revision", "seed", "tries", "format", "quality", *REMOVER_OPTIONS}
)  # may still change after `masks`


class Job(BaseModel):
    """Every setting of a run, with its one default. Command line, job file and flow are made from these fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    source: str = Field("", description="folder of pictures, or one picture; never written")
    target: str = Field("", description="folder for the result")

    # What to remove
    text: list[str] = Field(
        [], description="phrase that names what to remove, or phrase@0.4 with its own threshold; repeat"
    )
    point: list[str] = Field([], description="x,y on the object, or x,y,- on something else; repeat")
    box: list[str] = Field([], description="x0,y0,x1,y1 around an object; repeat")
    prompts: str = Field("", description="JSONL file with text, points or boxes per picture")
    coco: str = Field("", description="COCO file whose annotations of some categories are what to remove")
    category: list[str] = Field([], description="category of the COCO file to remove; repeat for several")
    masks: str = Field("", description="folder of masks (white = remove), or one mask for all")
    mask_pattern: str = Field("", description="name of a picture's masks, such as {stem}_m*.png; also {name}")
    mask_label: list[int] = Field(
        [], description="label to remove in masks that are label maps; repeat for several; none: all but 0"
    )
    mask_alpha: Literal["opaque", "clear"] = Field(
        "opaque", description="which part of a mask's alpha channel is removed"
    )
    protect: list[str] = Field([], description="phrase that names what must not be touched; repeat for several")
    segmenter: str = Field(
        "auto",
        description="the segmenter, such as grounded-sam, NAME:WEIGHTS or module:function; `models` lists them",
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="least score of a find by text; none: the segmenter's"
    )
    largest: int = Field(0, ge=0, description="only this many of the finds, the largest; 0: all")
    except_largest: bool = Field(False, description="all but the largest find: tourists go, the main subject stays")
    min_area: float = Field(0, ge=0, lt=1, description="ignore smaller finds: a share of the picture's area")
    max_count: int = Field(0, ge=0, description="leave a picture with more finds to a person; 0: any number")
    region: str = Field("", description="look only in x0,y0,x1,y1: pixels, or shares such as 0,50%,100%,100%")
    tiles: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        1, description="also look for text in so many parts along the longer side; auto: from 12 megapixels on"
    )
    invert: bool = Field(False, description="remove everything but what was found")
    nothing_found: Literal["copy", "skip", "error"] = Field(
        "copy", description="what to do with a picture in which nothing is found"
    )

    # The mask
    dilate: Dilation = Field(
        "auto", description="grow the mask: pixels, or a share of the object's size; auto: 10% if found, 0 if given"
    )
    fill_holes: bool = Field(True, description="fill holes in masks")
    shadow: bool = Field(False, description="also mask the shadow that an object casts on a ground of one colour")
    max_area: float = Field(0.6, gt=0, le=1, description="refuse a mask that covers a larger share of the picture")

    # The removal
    model: str = Field("sd15", description="preset, hub id, diffusers folder or .safetensors file")
    revision: str = Field("", description="commit of a hub id, to pin it")
    method: MethodName = Field("auto", description="method of removal")
    steps: int = Field(20, ge=1, le=1000, description="denoising steps")
    strength: float | None = Field(None, gt=0, le=1, description="share of the noise; none: what suits the checkpoint")
    prefill: Prefill = Field("patchmatch", description="what fills a hole before it is encoded; none: --no-prefill")
    attention: Literal["hole", "plain"] = Field("plain", description="hole: a hole does not attend to itself")
    prompt: str = Field("", description="what to put in place of the object; empty: nothing")
    guidance: float | None = Field(None, ge=1, le=50, description="pull towards the prompt; none: 7.5 with one, else 1")
    lora: list[str] = Field([], description="LoRA added to the weights: file, folder or hub id, with :WEIGHT; repeat")
    vae: str = Field("", description="another autoencoder: taesd (small, softer), a folder or a hub id")
    seed: int = Field(0, ge=0, description="combined with a picture's content into its own seed")
    context: float = Field(2.0, ge=1, le=20, description="crop side as a multiple of the mask's box")

    # The run
    accept_license: bool = Field(False, description="load weights whose licence forbids commercial use")
    device: str = Field("auto", description="cpu, cuda (all GPUs), cuda:1, or several: cuda:0,cuda:1; also xpu, mps")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field("auto", description="precision of the model")
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field("auto", description="crops at once")
    compile: Switch = Field("auto", description="compile the model; auto: on a GPU, from some 1,000 pictures on")
    offload: Switch = Field("auto", description="idle weights leave the device; auto: if it has under 12 GB")
    existing: Literal["skip", "overwrite", "error"] = Field("skip", description="what to do with finished pictures")
    limit: int = Field(0, ge=0, description="stop after this many pictures; 0: all")
    shard: Part = Field("", description="i/n: do the i-th of n parts of the folder; when all are done, `merge`")
    max_failures: Allowance = Field("10%", description="stop above this many failures: a number, or a share after 20")
    canary: int = Field(
        0, ge=0, description="do this many first; stop if over max_failures of them are doubtful or failed"
    )
    max_pixels: int = Field(MAX_PIXELS, ge=1, description="refuse a picture of more pixels, before it is decoded")
    verify: bool = Field(True, description="judge every result, unless a prompt put something there")
    tries: int = Field(1, ge=1, le=6, description="attempts per doubtful picture")
    hang_timeout: float = Field(
        1800, ge=0, description="end a run that takes longer for a picture; in seconds, 0: never"
    )
    offline: bool = Field(False, description="download nothing")

    # The output
    gif: bool = Field(False, description="also write the denoising to process/; takes another pass of the model")
    concat: bool = Field(False, description="also write original | mask | result to strips/")
    report_url: str = Field("", description="where report.html can be read, for the link in Prefect's artifact")
    format: Literal["same", "png", "jpeg", "webp"] = Field("same", description="format of the written pictures")
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="of JPEG, lossy WebP, AVIF, HEIC; none: a JPEG's own tables, 95 for what becomes a JPEG, else 90",
    )
    copy_others: bool = Field(False, description="also copy files that are not pictures, such as captions beside them")
    prune: bool = Field(False, description="remove the results of pictures that are no longer in the source")
    provenance: bool = Field(True, description="say in the XMP of changed pictures how a part was painted")

    _paths = field_validator(*PATHS)(plain_path)
    _lists = field_validator("text", "point", "box", "category", "protect", "lora", mode="before")(one_or_several)
    _labels = field_validator("mask_label", mode="before")(one_or_several_numbers)
    _switches = field_validator("compile", "offload", mode="before")(on_or_off)
    _phrases = field_validator("text", "protect")(each(check_phrase))
    _points = field_validator("point")(each(parse_point))
    _boxes = field_validator("box")(each(parse_box))
    _label_values = field_validator("mask_label")(each(check_label))
    _region = field_validator("region")(checked(check_region))
    _dilation = field_validator("dilate")(checked(check_dilation))
    _shard = field_validator("shard")(checked(parse_part))
    _address = field_validator("report_url")(checked(check_address))
    _failures = field_validator("max_failures")(checked(check_failures))

    @model_validator(mode="after")
    def _no_secrets(self) -> Job:
        refuse_secrets(self.__dict__)
        return self

    @model_validator(mode="after")
    def _a_step_to_take(self) -> Job:
        if self.strength is not None and int(self.steps * self.strength) < 1:
            raise ValueError(f"{self.steps} steps at strength {self.strength} leave no step to take; raise one of them")
        return self

    @model_validator(mode="after")
    def _one_way_to_say_what(self) -> Job:
        prompts = self.text or self.point or self.box or self.prompts
        if self.masks and (prompts or self.coco):
            raise ValueError("masks already say what to remove; leave out text, point, box, prompts and coco")
        if self.coco and prompts:
            raise ValueError("the COCO file already says what to remove; leave out text, point, box and prompts")
        if self.mask_pattern and not ({"{stem}", "{name}"} & {*re.findall(r"{\w+}", self.mask_pattern)} and self.masks):
            raise ValueError("a mask pattern has {stem} or {name} in it, and needs the folder of masks")
        given = self.masks or self.coco
        if given and (self.selection or self.region):
            raise ValueError(
                "largest, except_largest, min_area, max_count, region and invert choose among what is found; "
                "masks and annotations are used as they are"
            )
        if (self.mask_label or self.mask_alpha != "opaque") and not self.masks:
            raise ValueError("mask labels and mask alpha say how masks are read, and need masks")
        if self.category and not self.coco:
            raise ValueError("a category is one of a COCO file; say which with coco")
        return self

    @model_validator(mode="after")
    def _a_verdict_to_try_again(self) -> Job:
        if self.tries > 1 and not self.judged:
            without = "with a prompt no result is judged" if self.verify else "without verify no result is judged"
            raise ValueError(f"{without}, so that none is doubtful enough to be tried again; leave tries at 1")
        return self

    @property
    def selection(self) -> Selection:
        """The selection among the finds of a picture."""
        from masks.selection import Selection

        return Selection(self.largest, self.except_largest, self.min_area, self.max_count, self.invert)

    @property
    def judged(self) -> bool:
        """True if results get a verdict. A prompt's object in a hole looks as strange as one that was not removed."""
        return self.verify and not self.prompt

    @property
    def remover_options(self) -> dict[str, Any]:
        """The options of `removal.load_remover`."""
        options = {key: getattr(self, key) for key in (*REMOVER_OPTIONS, *ON_DEVICE, "offline", "accept_license")}
        return options | {"revision": self.revision or None, "lora": tuple(self.lora)}

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that affects pixels and is the same for all pictures, as JSON values."""
        return {key: value for key, value in self.model_dump(mode="json").items() if key not in NO_EFFECT_ON_PIXELS}

    @property
    def points(self) -> list[tuple[float, float, int]]:
        return [parse_point(value) for value in self.point]

    @property
    def boxes(self) -> list[tuple[float, float, float, float]]:
        return [parse_box(value) for value in self.box]

    def failures_allowed(self, tried: int, at_once: bool = False) -> float:
        """The failures among `tried` pictures that do not yet stop the run. A share counts after 20, or `at_once`."""
        text = str(self.max_failures)
        if not text.endswith("%"):
            return float(text)
        return float(text[:-1]) / 100 * tried if tried >= 20 or at_once else float("inf")
