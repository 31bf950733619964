"""Counts as messages give them."""

import pytest

from flows.messages.counts import many


@pytest.mark.parametrize(("number", "said"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures")])
def test_one_picture_is_no_pictures(number, said):
    assert many(number, "picture") == said
