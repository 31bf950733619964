"""What tests of painting share: a job of more than one batch."""

import numpy as np
import pytest


@pytest.fixture
def job(picture):
    """Three pictures, so that of batches of two the last is short."""
    masks = [np.zeros((32, 32), bool) for _ in range(3)]
    for k, mask in enumerate(masks):
        mask[4 + k : 16, 8 : 20 + k] = True
    return [np.roll(picture(32, 32), 4 * k, axis=0) for k in range(3)], masks, [1, 2, 3]
