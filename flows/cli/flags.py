"""Job's settings as flags of the command line: groups, help and defaults, all read from Job's own fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import CoercionError, Group, Parameter, Token, convert
from pydantic.fields import FieldInfo

from flows.settings.parameters import parameters

GROUPS = {
    "What to remove": "text point box prompts coco category masks mask_pattern mask_label mask_alpha protect segmenter "
    "threshold largest except_largest min_area max_count region tiles invert nothing_found",
    "Mask": "dilate fill_holes shadow max_area",
    "Removal": "model revision method steps strength prefill attention prompt guidance seed context lora vae",
    "Run": "device dtype batch_size compile offload existing limit shard max_failures canary max_pixels hang_timeout "
    "verify tries offline accept_license",
    "Output": "format quality provenance gif concat copy_others prune report_url",
}

SHORT = {"text": "-t"}
DECIMAL = re.compile(r"[+-]?\d*\.\d+")


def _flag(name: str, about: FieldInfo) -> Any:
    place = next((k for k, names in enumerate(GROUPS.values()) if name in names.split()), None)
    group: dict[str, Any] = {} if place is None else {"group": Group([*GROUPS][place], sort_key=place)}
    shown = about.get_default() not in ("", [], False, None)
    if "int" in (names := _names(about.annotation)) and "float" not in names:
        group["converter"] = _whole
    group |= {"alias": SHORT[name]} if name in SHORT else {}
    return Annotated[about.annotation, Parameter(help=about.description, show_default=shown, **group)]


def _names(annotation: Any) -> set[str]:
    """The names of all types in an annotation, such as int and str in int | list[str]."""
    inner = set().union(*map(_names, get_args(annotation)))
    return inner | ({annotation.__name__} if isinstance(annotation, type) else set())


def _whole(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert as Cyclopts does, but refuse 1.5 for a whole number, which it would round without a word."""
    for token in tokens:
        if DECIMAL.fullmatch(token.value) and not float(token.value).is_integer():
            raise ValueError(f"{token.value} is not a whole number")
    try:
        return convert(kind, tokens)
    except CoercionError as error:
        words = [word for one in get_args(kind) if get_origin(one) is Literal for word in get_args(one)]
        if not words:
            raise
        raise ValueError(f"{tokens[-1].value!r} is neither a whole number nor {', '.join(words)}") from error


def _switch(name: str, help: str, short: str | None = None) -> inspect.Parameter:
    names = [f"--{name.replace('_', '-')}", *([short] if short else [])]
    plain = Parameter(name=names, help=help, negative=(), show_default=False)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, plain])


RUN_ONLY = [
    inspect.Parameter(
        "job",
        inspect.Parameter.KEYWORD_ONLY,
        default="",
        annotation=Annotated[str, Parameter(help="TOML file of these settings; flags override it", show_default=False)],
    ),
    inspect.Parameter(
        "flow",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[bool | None, Parameter(help="run as the Prefect flow; by default when it has a server")],
    ),
    _switch("dry_run", "say what would be done, and do nothing"),
    _switch("json", "one JSON object on stdout"),
    _switch("quiet", "say nothing but failures", "-q"),
    _switch("verbose", "name every picture", "-v"),
]


METHODS = inspect.Parameter(
    "methods",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[list[str], Parameter(name="--method", help="a column; repeat for several")],
)

ONLY = inspect.Parameter(
    "only",
    inspect.Parameter.KEYWORD_ONLY,
    default="rejected,failed,doubtful",
    annotation=Annotated[str, Parameter(help="which pictures: some of these, with commas")],
)


def signed(function: Any, without: tuple[str, ...] = (), extra: tuple[inspect.Parameter, ...] = ()) -> Any:
    """Give a verb the flags of a job; it receives only those that were given."""
    flags = [p for p in (*parameters(_flag), *RUN_ONLY, *extra) if p.name not in without]
    function.__signature__ = inspect.Signature(flags)
    function.__annotations__ = {flag.name: flag.annotation for flag in flags}
    return function
