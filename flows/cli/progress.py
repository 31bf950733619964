"""Progress on a terminal: a live bar, or one plain line every ten seconds on a pipe. All on stderr."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from types import TracebackType

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from flows.cli.verbs.talk import TALK, on_terminal, say
from flows.outcome import Outcome
from flows.records.card import counted, in_words

EVERY = 10.0  # seconds between plain lines
BAR = 16  # columns, so that what stands behind it fits into 80
FIRST = ("failed", "removed")


class Terminal:
    """Watches a run. `quiet` says nothing but failures; `verbose` names every picture."""

    def __init__(self, quiet: bool = False, verbose: bool = False):
        self.quiet, self.verbose = quiet, verbose
        self.counts: Counter[str] = Counter()
        self.doubtful = 0
        self.total, self.began, self.last = 0, time.monotonic(), time.monotonic()
        self.bar: Progress | None = None

    def begin(self, total: int, finished: int) -> None:
        self.total, self.began = total, time.monotonic()
        if finished and total:
            self.say(f"{finished} {'picture is' if finished == 1 else 'pictures are'} finished already; {total} to do")
        if total and on_terminal() and not self.quiet:
            self.bar = Progress(SpinnerColumn("line"), BarColumn(BAR), TextColumn("{task.fields[line]}"), console=TALK)
            self.bar.add_task("cleaning", total=total, line=f"0/{total}")
            self.bar.start()

    def did(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        doubtful = outcome.verdict == "doubtful"
        self.doubtful += doubtful
        if outcome.status == "failed":
            say(f"failed: {outcome.source}: {outcome.reason}")
        elif self.verbose:
            why = f" ({outcome.reason})" if outcome.reason and (doubtful or outcome.status != "removed") else ""
            say(f"{outcome.status}: {outcome.source}{why}")
        done = sum(self.counts.values())
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, line=self._line(done))
        elif not self.quiet and time.monotonic() - self.last > EVERY:
            self.last = time.monotonic()
            say(f"{done} of {self.total}: {self._counts()}; about {self._left(done)} left, {self._rate(done)}")

    def say(self, message: str) -> None:
        if not self.quiet:
            say(message)

    def conclude(self, target: str, tried: int, counts: dict[str, int], doubtful: int) -> None:
        """The last line of a run: how the target stands."""
        standing = in_words(counts, doubtful)
        self.say(f"{target}: {standing}" if tried else f"nothing to do; {target}: {standing}")

    def _left(self, done: int) -> str:
        """The time left, from all results so far: rich would use the last ones, which come in bursts of a batch."""
        pace = (time.monotonic() - self.began) / done
        return str(timedelta(seconds=round(pace * (self.total - done))))

    def _time(self, done: int) -> str:
        if done < self.total:
            return f"{self._left(done)} left"
        return f"in {timedelta(seconds=round(time.monotonic() - self.began))}"

    def _rate(self, done: int) -> str:
        """The pictures a second, or a minute if that is less than one."""
        rate = done / max(time.monotonic() - self.began, 1e-3)
        return f"{rate:.1f} a second" if rate >= 1 else f"{60 * rate:.1f} a minute"

    def _counts(self) -> str:
        return in_words(self.counts, self.doubtful)

    def _line(self, done: int) -> str:
        """What stands beside the bar. Trouble and doubts come first: a narrow terminal cuts the end off."""
        counted_so_far = counted(self.counts, self.doubtful)
        told = ", ".join(f"{count} {name}" for name, count in sorted(counted_so_far, key=_telling))
        line = f"{done}/{self.total} {self._time(done)}, {self._rate(done)}: {told}"
        room = TALK.width - BAR - 4
        return line if len(line) <= room else f"{line[: room - 1]}…"

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()


def _telling(count: tuple[str, int]) -> int:
    return next((place for place, name in enumerate(FIRST) if count[0].startswith(name)), len(FIRST))
