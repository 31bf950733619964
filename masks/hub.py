"""Weights in the layout of the Hugging Face hub: an id or a folder, and the commit that pins it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Weights:
    """A hub id, or a folder in the hub's layout. `revision` is a commit or branch of the id ("": its newest)."""

    repo: str
    revision: str = ""
    offline: bool = False

    @classmethod
    def parse(cls, text: str, offline: bool = False) -> Weights:
        """From `ID`, `FOLDER` or `ID@REVISION`. A folder that is there is a folder, whatever its name."""
        repo, _, revision = text.rpartition("@") if "@" in text and not os.path.isdir(text) else (text, "", "")
        return cls(os.path.expanduser(repo), revision, offline)

    def load(self, kind: Any, **options: Any) -> Any:
        """What a class of transformers makes of them; raises OSError, naming them, when they cannot be had.

        Weights are read from safetensors alone: the older format can hold code.
        """
        from transformers import PreTrainedModel

        if isinstance(kind, type) and issubclass(kind, PreTrainedModel):
            options["use_safetensors"] = True
        if self.revision:
            options["revision"] = self.revision
        try:
            return kind.from_pretrained(self.repo, local_files_only=self.offline, **options)
        except OSError as error:  # the library's own words do not always say which
            pinned = f" at {self.revision}" if self.revision else ""
            raise OSError(f"the weights of {self.repo}{pinned} cannot be had: {error}") from error
