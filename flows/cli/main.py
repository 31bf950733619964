"""The `cleanplate` command: the list of its verbs, and its exit codes. Only this file exits."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from cyclopts import App, Parameter

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
    suppress_keyboard_interrupt=False,
    error_console=TALK,
    error_formatter=wrong,
)
app.register_install_completion_command()


def verb(function: Any, line: str) -> None:
    """Register a verb, with an example."""
    app.command(function, help_epilogue=example(line))


verb(signed(job.run), "run photos cleaned --text person")
verb(signed(job.masks, without=("flow",)), "masks photos cleaned --text person")
verb(signed(job.redo, without=NOT_REDONE, extra=(ONLY,)), "redo cleaned --only rejected --dilate 24")
verb(
    signed(job.compare, without=NOT_COMPARED, extra=(METHODS,)),
    "compare photos out --text car --method auto --method telea",
)
verb(results.status, "status cleaned")
verb(results.export, "export cleaned published --accepted --no-originals")
verb(merge.merge, "merge cleaned")
verb(pages.review, "review cleaned")
verb(pages.pick, "pick photos")
app.command(models_app)
verb(samples.demo, "demo demo/result")
verb(samples.scenes, "scenes drawn --count 100")
verb(samples.evaluate, "evaluate cleaned drawn")
verb(machine.doctor, "doctor cleaned")
verb(machine.schema, "schema")


def main(app: App = app) -> None:
    """Run a command line and exit with its code."""
    _open_what_is_closed()
    warnings.showwarning = lambda message, *_, **__: say(f"warning: {' '.join(str(message).split())}")
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


def _open_what_is_closed() -> None:
    """Open closed standard streams: otherwise the next file opened would take their place and get their output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor


if __name__ == "__main__":
    main()
