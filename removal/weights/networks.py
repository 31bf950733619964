"""A network or processor of transformers: a hub id or a folder, and the commit that pins it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from removal.weights import hub
from removal.weights.configs import read_config
from removal.weights.files import of_transformers
from removal.weights.loading import pretrained
from removal.weights.strict import strict


@dataclass(frozen=True)
class Weights:
    """A hub id, or a folder in the hub's layout. `revision` is a commit or branch of the id ("": its newest)."""

    repo: str
    revision: str = ""
    offline: bool = False

    @classmethod
    def parse(cls, text: str, offline: bool = False) -> Weights:
        """From `ID`, `FOLDER` or `ID@REVISION`. An existing folder is a folder, whatever its name."""
        repo, _, revision = text.rpartition("@") if "@" in text and not os.path.isdir(text) else (text, "", "")
        return cls(os.path.expanduser(repo), revision, offline)

    @functools.cached_property
    def folder(self) -> Path:
        """Their folder on this machine, fetched if necessary. Raises OSError, with what to do, if unavailable."""
        place = Path(self.repo)
        if place.is_dir():
            return place
        if place.is_absolute() or self.repo.startswith(".") or self.repo.count("/") > 1:
            raise FileNotFoundError(f"there are no weights at {self.repo}; give a hub id, or a folder in its layout")
        try:
            return hub.snapshot(self.repo, of_transformers, self.revision or None, self.offline)
        except hub.Unavailable as error:
            pinned = f" at {self.revision}" if self.revision else ""
            raise hub.Unavailable(f"the weights of {self.repo}{pinned} are unavailable: {error}") from error

    def load(self, kind: Any, renamed: dict[str, str] | None = None) -> Any:
        """The network or processor of a transformers class; raises OSError, naming the weights, if unavailable.

        Weights are read from safetensors alone: the older format can hold code. Raises ValueError when they lack some
        of the network's tensors or hold others: the library would draw the first at random and drop the second.
        `renamed` maps patterns of tensor names in the file to what the network calls them.
        """
        folder = self.folder
        for file in sorted({folder / "config.json", *folder.glob("*config.json")}):
            read_config(file)  # the library's message names neither the file nor what to do
        try:
            if kind.__name__.endswith("Processor"):
                return pretrained(kind, folder)
            _require_family(folder / "config.json", kind)
            return strict(kind, folder, self.repo, **({"key_mapping": renamed} if renamed else {}))
        except OSError as error:  # the library's own message does not always say which
            raise OSError(f"the weights of {self.repo} are unavailable: {error}") from error
        except ValueError as error:
            if self.repo in str(error):
                raise
            raise ValueError(f"the weights of {self.repo} are made for something else: {error}") from error


def _require_family(file: Path, kind: Any) -> None:
    """Raises ValueError if the settings are those of another network, before one of full size is made of them."""
    own = getattr(getattr(kind, "config_class", None), "model_type", None)  # an Auto class looks for itself
    found = str(read_config(file).get("model_type"))
    if own and found.split("_")[0] != own.split("_")[0]:  # sam2_video is sam2 with more beside it
        raise ValueError(f"{file} says model_type {found}, not {own}")
