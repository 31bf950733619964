"""Fetches from the Hugging Face hub into its own cache; if that fails, says why and what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Chosen = Callable[[list[str]], list[str]]  # the needed ones of a repo's files; ValueError if some are missing
CARD = "README.md"  # says the licence


class Unavailable(OSError):
    """Weights are unavailable; the message says what to do."""


@dataclass(frozen=True)
class Download:
    """The files needed from a repo at one commit: bytes by file name, and how many bytes are still to be fetched."""

    repo: str
    commit: str
    files: dict[str, int]
    missing: int


def snapshot(repo: str, chosen: Chosen, revision: str | None = None, offline: bool = False) -> Path:
    """The folder of the hub's cache that holds the chosen files of a repo, fetched unless they are there.

    huggingface_hub takes care of the token (HF_TOKEN, or `hf auth login`). Without a connection the cache is used.
    Raises Unavailable.
    """
    from huggingface_hub import snapshot_download

    if not (offline or switched_off()):
        try:
            plan = look(repo, chosen, revision)
            _room_for(plan)
            return Path(snapshot_download(repo, revision=revision, allow_patterns=[*plan.files]))
        except Exception as error:
            if not _unreachable(error):
                raise Unavailable(why_not(repo, revision, error)) from error
            reason = why_not(repo, revision, error)
    else:
        reason = f"{repo} is not in the hub's cache ({_cache()}), and offline forbids fetching it; {_pull(repo)}"
    return _cached(repo, chosen, revision, reason)


def look(repo: str, chosen: Chosen, revision: str | None = None) -> Download:
    """The download that `snapshot` would make. Raises Unavailable if a file is missing, or huggingface_hub's errors."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    about = HfApi().model_info(repo, revision=revision, files_metadata=True)
    sizes = {one.rfilename: one.size or 0 for one in about.siblings or []}
    files = {name: sizes[name] for name in _needed(repo, chosen, [*sizes])}
    here = [name for name in files if isinstance(try_to_load_from_cache(repo, name, revision=about.sha), str)]
    return Download(repo, about.sha or "", files, sum(files.values()) - sum(files[name] for name in here))


def one_file(repo: str, name: str, revision: str | None = None, offline: bool = False) -> Path | None:
    """A small file of a repo; None if the repo, or offline the cache, has none. Raises Unavailable."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, name, revision=revision, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        if offline or switched_off():
            return None
        raise Unavailable(why_not(repo, revision, error)) from error
    except EntryNotFoundError:
        return None
    except Exception as error:
        raise Unavailable(why_not(repo, revision, error)) from error


def why_not(repo: str, revision: str | None, error: BaseException) -> str:
    """A sentence that says why a repo is unavailable, and what to do."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    if isinstance(error, Unavailable):
        return str(error)
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repo} is gated: accept its terms at {page}, then set HF_TOKEN to a token of that account "
            "(https://huggingface.co/settings/tokens)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}; {page}/commits/main lists those that there are"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no {repo}, or keeps it private: check its spelling, and for a private one set HF_TOKEN "
            "(the token that is set, if any, does not open it)"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full at {_cache()}; free some space, or set HF_HOME to a folder on a larger disk"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
        return f"the hub's cache {_cache()} cannot be written; set HF_HOME to a folder that can"
    if _unreachable(error):
        return f"the hub cannot be reached ({_first_line(error)}), and {repo} is not in its cache; {_pull(repo)}"
    return f"{repo} cannot be fetched: {_first_line(error)}"


def _cached(repo: str, chosen: Chosen, revision: str | None, reason: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError as error:
        raise Unavailable(reason) from error
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    try:
        _needed(repo, chosen, names)
    except Unavailable as error:
        raise Unavailable(f"only a part of {repo} is in the hub's cache ({error}); {_pull(repo)}") from error
    return folder


def _needed(repo: str, chosen: Chosen, names: list[str]) -> list[str]:
    try:
        return chosen(names)
    except ValueError as error:
        raise Unavailable(f"{repo} {error}") from error


def _room_for(plan: Download) -> None:
    """Raises Unavailable for a download that does not fit on the disk, before it begins."""
    place = next(parent for parent in (_cache(), *_cache().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if plan.missing > free:
        raise Unavailable(
            f"{plan.repo} takes {gigabytes(plan.missing)} more, and {gigabytes(free)} are free at {place}; free some "
            "space, or set HF_HOME to a folder on a larger disk"
        )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def switched_off() -> bool:
    """True if HF_HUB_OFFLINE forbids fetching anything."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def why_unreachable(seconds: float) -> str | None:
    """The reason why the hub, or its mirror (HF_ENDPOINT), does not answer within so many seconds; None if it does."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        status = get_session().head(constants.ENDPOINT, timeout=seconds).status_code
    except Exception as error:  # of huggingface_hub's HTTP library, which has changed
        return f"{constants.ENDPOINT} cannot be reached ({_first_line(error)})"
    return f"{constants.ENDPOINT} answers {status}" if status >= 500 else None


def _pull(repo: str) -> str:
    return (
        f"`cleanplate models pull {repo}` fetches it where there is a connection (`--lora`, `--vae` and `--segmenter` "
        "there fetch those), or give a folder instead"
    )


def _unreachable(error: BaseException | None) -> bool:
    """True if any error of a chain says that the hub is unreachable or down."""
    from huggingface_hub import errors

    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", 0) or 0
        kinds = {kind.__name__ for kind in type(error).__mro__}  # huggingface_hub's HTTP library has had several names
        offline = isinstance(error, errors.OfflineModeIsEnabled)
        if offline or status >= 500 or kinds & {"TransportError", "ConnectionError", "TimeoutException"}:
            return True
        error = error.__cause__
    return False


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
