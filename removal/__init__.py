"""What comes instead: images and masks in, images out. Knows nothing of files, Prefect or segmentation."""

from removal.checkpoints.choice import METHODS, PRESETS, Checkpoint, Choice, choose
from removal.removers import Options, Remover, load_remover

__all__ = ["METHODS", "PRESETS", "Checkpoint", "Choice", "Options", "Remover", "choose", "load_remover"]
