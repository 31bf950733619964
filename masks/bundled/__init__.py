"""The segmenters that ship inside the package: their weights, and the words that they know."""

from pathlib import Path

BUNDLED = Path(__file__).parent
