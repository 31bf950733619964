"""Where this program keeps what it made."""

from __future__ import annotations

import pytest

from removal.weights.cache import cache_folder


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CLEANPLATE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/prompt_embeddings"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/cleanplate/prompt_embeddings"),
        ({"HOME": "/c"}, "/c/.cache/cleanplate/prompt_embeddings"),
    ],
)
def test_the_cache_is_where_the_environment_says(monkeypatch, variables, expected):
    for name in ("CLEANPLATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder("prompt_embeddings").as_posix() == expected
