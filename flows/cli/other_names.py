"""Words that people bring from IOPaint, rembg and others: taken for ours, or answered with the command meant."""

from __future__ import annotations

import shlex

OF_A_JOB = ("run", "masks", "compare")
SAME = {  # mean the same there and here, so they are simply taken
    **dict.fromkeys(("-i", "--image", "--images", "--input", "--input-dir", "--input-img"), "--source"),
    **dict.fromkeys(("-o", "--output", "--out", "--output-dir"), "--target"),
    **dict.fromkeys(("-m", "--mask"), "--masks"),
    "--config": "--job",
}
Answer = tuple[str, str]  # what is said, and what stands in the command instead
FLAGS: dict[str, Answer] = {
    **dict.fromkeys(("--overwrite", "--force", "-f", "-y"), ("finished pictures stay", "--existing overwrite")),
    **dict.fromkeys(("--recursive", "-r"), ("sub-folders are always done", "")),
    **dict.fromkeys(("--resume", "--skip-existing"), ("a run always resumes", "")),
    "--cpu": ("a device is given by its name", "--device cpu"),
    **dict.fromkeys(("--gpu", "--cuda", "--use-gpu"), ("a device is given by its name", "--device cuda")),
    **dict.fromkeys(("--half", "--fp16"), ("the precision is called dtype", "--dtype float16")),
    **dict.fromkeys(("--no-half", "--fp32"), ("the precision is called dtype", "--dtype float32")),
    **dict.fromkeys(("--only-mask", "--mask-only", "-om"), ("masks alone are a command of their own", "masks")),
    **dict.fromkeys(("--object", "--remove", "--class", "--label", "--query"), ("what goes is named by", "--text")),
    **dict.fromkeys(("--dilate-kernel-size", "--mask-dilate", "--grow"), ("a mask is grown by", "--dilate")),
    **dict.fromkeys(("--sd-steps", "--num-inference-steps"), ("it is called", "--steps")),
    **dict.fromkeys(("--model-dir", "--local-files-only"), ("weights are kept where HF_HOME and TORCH_HOME say", "")),
    **dict.fromkeys(("--workers", "--threads", "--jobs", "-j"), ("pictures are worked on side by side anyway", "")),
}
WITH_A_VALUE = ("--workers", "--threads", "--jobs", "-j", "--model-dir")
VERBS: dict[str, Answer] = {
    "i": ("rembg cuts out the subject; here something is removed, by name, point or box", "run"),
    "p": ("rembg cuts out the subject; here something is removed, by name, point or box", "run"),
    **dict.fromkeys(("remove", "clean", "erase", "inpaint"), ("it is called run", "run")),
    **dict.fromkeys(("start", "serve", "web"), ("the page for clicking on what is to go is", "pick photos --serve")),
    "list": ("the models are listed by", "models"),
    "download": ("a model is fetched by", "models pull"),
}
WHAT = ("--text", "-t", "--point", "--box", "--masks", "-m", "--mask", "--prompts", "--coco", "--job")


def understood(words: list[str]) -> list[str]:
    """The words of a command line with other tools' names for the same settings replaced by ours."""
    if not words or words[0] not in OF_A_JOB:
        return words
    pairs = [(name, equals + value) for name, equals, value in (word.partition("=") for word in words)]
    return [SAME.get(name.replace("_", "-") if name.startswith("-") else name, name) + rest for name, rest in pairs]


def answered(words: list[str], unknown: str) -> str | None:
    """What to say of a word that is unknown here and known from elsewhere, with the whole command that was meant."""
    name, _, value = unknown.partition("=")
    if words[:1] == [unknown] and unknown in VERBS:
        said, verb = VERBS[unknown]
        return _meant(said, _verb(verb, words[1:]))
    if (flag := name.replace("_", "-")) not in FLAGS:
        return None
    said, instead = FLAGS[flag]
    place = words.index(unknown)
    after = words[place + 1 :]
    if flag in WITH_A_VALUE and not value and after and not after[0].startswith("-"):
        after = after[1:]
    if instead == "masks":
        return _meant(said, ["masks", *words[1:place], *after])
    return _meant(said, [*words[:place], *instead.split(), *([value] if value and instead else []), *after])


def _verb(verb: str, after: list[str]) -> list[str]:
    if verb == "run":
        asked = any(word.partition("=")[0] in WHAT for word in after)
        return ["run", *(after or ["photos", "cleaned"]), *([] if asked else ["--text", "person"])]
    return verb.split() + (after if verb == "models pull" else [])


def _meant(said: str, words: list[str]) -> str:
    return f"{said}\ndid you mean: {shlex.join(['cleanplate', *words])}"
