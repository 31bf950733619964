"""Names as they are shown to people in a terminal, a log or Markdown. Files and JSON hold them unchanged.

A file may have any name: escape sequences that a terminal obeys, line breaks that forge a line of a log, characters
that reverse the direction of what follows, Markdown that shows another link. The review page has its own in rows.js.
"""

from __future__ import annotations

import re
import unicodedata

JOINERS = "\u200c\u200d"  # zero-width joiners, used in words of some scripts and in emoji
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, formats, surrogates, ends of lines and paragraphs
MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+!|<>~&]")


def readable(text: str) -> str:
    r"""A text on one line, with everything that would act escaped, such as `a\x1b[2J.png`."""
    if text.isprintable():
        return text
    return "".join(_spelled(sign) if _is_unseen(sign) else sign for sign in text)


def as_code(text: str) -> str:
    """A text as Markdown code that shows it verbatim."""
    text = readable(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


def as_markdown(text: str) -> str:
    """A text as Markdown that shows it, with all markup escaped."""
    return MARKDOWN.sub(r"\\\g<0>", readable(text))


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in UNSEEN and sign not in JOINERS


def _spelled(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
