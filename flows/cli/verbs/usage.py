"""Messages about wrong usage: what was wrong, what was probably meant, and an example that works."""

from __future__ import annotations

import shlex

from cyclopts import App, CycloptsError, UnknownCommandError
from cyclopts.exceptions import UnknownOptionError, UnusedCliTokensError
from pydantic import ValidationError

from flows.cli.other_names import answered
from flows.cli.verbs.talk import folded
from flows.messages.readable import readable

EXAMPLE = "Example: cleanplate "


def example(line: str) -> str:
    """The example at the end of a verb's help, and of every error in its use."""
    return EXAMPLE + line


def wrong(error: CycloptsError) -> str:
    """Cyclopts' message about an error, and the example of its verb."""
    assert error.app is not None
    verb = error.app
    for name in error.command_chain or ():
        verb = verb[name] if name in verb else verb  # noqa: SIM401  an App has no get
    words = _from_elsewhere(error) or (
        _unused(verb, error.unused_tokens or []) if isinstance(error, UnusedCliTokensError) else _plain(error)
    )
    lines = f"{words}\n{verb.help_epilogue or error.app.help_epilogue}".split("\n")
    return folded("\n".join(map(readable, lines)))


def _plain(error: CycloptsError) -> str:
    """Cyclopts' words; of a value that no type of a setting fits, what each of them would take."""
    cause = error.__cause__ or error.__context__
    if not isinstance(cause, ValidationError):
        return str(error)
    takes = [problem["msg"].removeprefix("Input should ") for problem in cause.errors()]
    return str(error).replace(str(cause), f"It should {', or '.join(dict.fromkeys(takes))}.")


def _from_elsewhere(error: CycloptsError) -> str | None:
    """The answer to a word of another tool."""
    if isinstance(error, UnknownOptionError):
        unknown = error.token.keyword or error.token.value
    elif isinstance(error, (UnknownCommandError, UnusedCliTokensError)) and error.unused_tokens:
        unknown = error.unused_tokens[0]
    else:
        return None
    words = error.root_input_tokens or []
    told = answered(words, unknown) if unknown in words else None
    return told and f"{unknown} is not known here: {told}"


def _unused(verb: App, tokens: list[str]) -> str:
    if any(not name.startswith("-") for name in verb):
        return str(UnknownCommandError(unused_tokens=tokens, app=verb, verbose=False))
    return f"{shlex.join(tokens)}: one argument too many, or a flag without its --"
