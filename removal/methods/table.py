"""The methods of removal, by name: a row here and a file beside it are all that a method needs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.options import Options


@dataclass(frozen=True)
class Method:
    """A method's file, and the checkpoints that it removes with.

    `module` has a function `load(checkpoint, options)`; it is imported when that is called. With `channels` (the input
    channels of the UNets that it takes, of one `family` or of any) this gives a `removal.crops.remover.Paint`, which
    fills square crops in batches. Without, the method takes no checkpoint, and gets an empty one: then `load` gives a
    `removal.fills.remover.Fill`, which fills a whole picture. One that stands `alone` paints crops with weights that
    only models made for it have; `kind` says which.
    """

    module: str
    channels: tuple[int, ...] = ()
    family: str = ""
    alone: bool = False
    kind: str = "of its own kind"

    @property
    def takes_weights(self) -> bool:
        """True if it is given a checkpoint, and paints crops."""
        return bool(self.channels) or self.alone

    def load(self, checkpoint: Checkpoint, options: Options) -> Any:
        """The loaded method. Raises ValueError for what it cannot do, OSError for weights that are unavailable."""
        return importlib.import_module(self.module).load(checkpoint, options)


METHODS = {
    "inpainting": Method("removal.methods.inpainting", channels=(9,)),
    "blending": Method("removal.methods.blending", channels=(4,)),
    "attentive": Method("removal.methods.attentive", channels=(4, 9)),
    "controlnet": Method("removal.methods.controlnet", channels=(4,), family="sd15"),
    "lama": Method("removal.methods.lama", alone=True),
    "osor": Method("removal.methods.osor", alone=True, kind="with a fifth output channel, for shadow and reflection"),
    "patchmatch": Method("removal.fills.patchmatch"),
    "telea": Method("removal.fills.telea"),
}
