"""The `cleanplate` command: the list of its verbs, and how it ends. Only this file exits."""

from __future__ import annotations

import sys
import warnings

from cyclopts import App, Parameter
from pydantic import ValidationError

from flows.flags import METHODS, signed
from flows.verbs import job, machine, results, samples
from flows.verbs.models import models_app
from flows.verbs.talk import INTERRUPTED, code_of, say, words_of

NOT_COMPARED = (
    *("flow", "dry_run", "quiet", "verbose"),
    *("method", "existing", "max_failures", "nothing_found", "verify", "tries", "gif", "concat"),
)

app = App(
    name="cleanplate",
    default_parameter=Parameter(negative_iterable=()),
    help="Removes objects from whole folders of pictures: a folder in, a clean folder out.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()
app.command(signed(job.run))
app.command(signed(job.masks, without=("flow",)))
app.command(signed(job.compare, without=NOT_COMPARED, extra=(METHODS,)))
app.command(results.status)
app.command(models_app)
app.command(samples.demo)
app.command(samples.scenes)
app.command(samples.evaluate)
app.command(machine.doctor)


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        code = app()
    except KeyboardInterrupt:
        say(INTERRUPTED)
        code = 130
    except ValidationError as error:
        for problem in error.errors():
            place = "--" + str(problem["loc"][0]).replace("_", "-") + ": " if problem["loc"] else ""
            say(f"{place}{problem['msg'].removeprefix('Value error, ')}")
        code = 2
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        say(words_of(error))
    sys.exit(code)


if __name__ == "__main__":
    main()
