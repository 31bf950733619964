"""Passwords and tokens do not belong in settings, which records, logs and Prefect's server keep."""

from __future__ import annotations

import re

SECRET = re.compile(
    r"://[^/@\s]*:[^/@\s]+@"  # user:password@host
    r"|[?&#;](?:[\w-]*(?:token|passw(?:or)?d|secret|signature|credential)|sig|access_?key|api_?key|auth)="
    r"|\bhf_[A-Za-z0-9]{20,}\b",  # of the Hugging Face hub
    re.IGNORECASE,
)
ELSEWHERE = "HF_TOKEN, AWS_SECRET_ACCESS_KEY or a file of the store's own"


def refuse_secrets(settings: dict[str, object]) -> None:
    """Raises ValueError for a setting that holds a password or token; the message does not repeat it."""
    for name, value in settings.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and SECRET.search(text):
                raise ValueError(
                    f"{name} holds a password or token, which would be kept in records and logs; leave it out of the "
                    f"address, and give it where only this machine reads it: {ELSEWHERE}"
                )
