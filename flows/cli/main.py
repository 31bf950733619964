"""The `cleanplate` command: the list of its verbs, and its exit codes. Only this file exits."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from cyclopts import App, Group, Parameter

from flows import __version__
from flows.cli.flags import METHODS, ONLY, signed
from flows.cli.other_names import understood
from flows.cli.verbs import job, machine, merge, pages, results, samples
from flows.cli.verbs.models import models_app
from flows.cli.verbs.talk import INTERRUPTED, TALK, code_of, lines_of, say
from flows.cli.verbs.usage import example, wrong
from flows.threads.interrupts import terminable

NOT_COMPARED = (
    *("flow", "dry_run", "quiet", "verbose"),
    *(
        "method",
        "existing",
        "max_failures",
        "nothing_found",
        "verify",
        "tries",
        "copy_others",
        "prune",
        "gif",
        "concat",
        "format",
        "quality",
        "provenance",
    ),
)
NOT_REDONE = (
    *("source", "job", "flow", "dry_run", "existing", "max_failures"),
    *("canary", "shard", "format", "copy_others", "prune", "report_url", "hang_timeout"),
)

app = App(
    name="cleanplate",
    default_parameter=Parameter(negative_iterable=()),
    help="Removes objects from whole folders of pictures: a folder in, a clean folder out.",
    version=__version__,
    version_flags=["--version"],
    help_epilogue=example("run photos cleaned --text person"),
    group_commands=Group("Help", sort_key=9),
    suppress_keyboard_interrupt=False,
    error_console=TALK,
    error_formatter=wrong,
)
app.register_install_completion_command()


WORK, LOOK, GIVE, TRY, HERE = (
    Group(title, sort_key=place)
    for place, title in enumerate(("Clean", "Look and decide", "Hand on", "Try out", "This machine"))
)


def verb(group: Group, function: Any, line: str) -> None:
    """List a verb below the others of its group, with a line that shows its use."""
    app.command(function, group=group, help_epilogue=example(line), sort_key=len([*app]))


verb(WORK, signed(job.run), "run photos cleaned --text person")
verb(WORK, signed(job.masks, without=("flow",)), "masks photos cleaned --text person")
verb(WORK, pages.pick, "pick photos")
verb(WORK, signed(job.redo, without=NOT_REDONE, extra=(ONLY,)), "redo cleaned --only rejected --dilate 24")
verb(LOOK, results.status, "status cleaned")
verb(LOOK, pages.review, "review cleaned")
verb(
    LOOK,
    signed(job.compare, without=NOT_COMPARED, extra=(METHODS,)),
    "compare photos out --text car --method auto --method telea",
)
verb(GIVE, results.export, "export cleaned published --accepted --no-originals")
verb(GIVE, merge.merge, "merge cleaned")
verb(TRY, samples.demo, "demo demo/result")
verb(TRY, samples.scenes, "scenes drawn --count 100")
verb(TRY, samples.evaluate, "evaluate cleaned drawn")
models_app.group, models_app.group_commands, models_app.sort_key = (HERE,), Group("Commands"), len([*app])
app.command(models_app)
verb(HERE, machine.doctor, "doctor cleaned")
verb(HERE, machine.schema, "schema")


def main(app: App = app) -> None:
    """Run a command line and exit with its code."""
    _open_what_is_closed()
    said: set[str] = set()
    warnings.showwarning = lambda message, *_, **__: _warn(" ".join(str(message).split()), said)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # a file may cause thousands of warnings, and none names it
    try:
        with terminable():
            words = understood(sys.argv[1:])
            code = app(["--prefill=none" if word == "--no-prefill" else word for word in words])
    except KeyboardInterrupt as error:
        say(INTERRUPTED)
        code = code_of(error)
    except BrokenPipeError:  # such as `cleanplate status cleaned | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        say(*lines_of(error))
    sys.exit(code)


def _warn(words: str, said: set[str]) -> None:
    """Say a warning once. Python's own memory of them is lost whenever a library changes its filters."""
    if words not in said:
        said.add(words)
        say(f"warning: {words}")


def _open_what_is_closed() -> None:
    """Open closed standard streams: otherwise the next file opened would take their place and get their output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor


if __name__ == "__main__":
    main()
