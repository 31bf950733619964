"""Best of n: every picture is tried once, doubtful ones again with the next rungs of the ladder. The best is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from flows.errors import each
from flows.formats.encoding import as_kept, encode_image
from flows.formats.mask_files import encode_mask, mask_area
from flows.job import Job
from flows.outcome import BY_HAND, Outcome
from flows.places.layout import files_of
from flows.places.target import Target
from flows.steps.ladder import Masked, Rung
from flows.steps.redetect import look_again
from flows.steps.verdicts import Redetection, Verdict, judge
from removal.crops.crop import feather
from removal.crops.device_turn import seconds_waited
from removal.painting.blank import Blank, refuse_black
from removal.removers import with_effects

FADES = 4  # one part in so many of the dilation: further in, the object's own shadow would come back


@dataclass(frozen=True)
class Attempt:
    """A result (H×W×3 uint8, or the reason why there is none), how it was made, and the verdict.

    `again` is what the segmenter still finds. `grown` (H×W bool) is the mask where the method took away more than that
    of `masked`.
    """

    number: int
    rung: Rung
    masked: Masked
    seed: int
    result: np.ndarray | Exception
    again: Redetection | None = None
    verdict: Verdict | None = None
    grown: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray:
        """Outside of which nothing differs, H×W bool."""
        return self.masked.mask if self.grown is None else self.grown


@dataclass
class Trial:
    """One picture's way up the ladder: its start, the rungs so far, its best attempt and errors of others.

    `seconds` is its share of its group's time.
    """

    start: Masked
    last: Masked
    kept: Attempt | None = None
    made: int = 0
    seconds: float = 0.0
    trouble: list[str] = field(default_factory=list)

    @property
    def best(self) -> Attempt:
        """The attempt to publish."""
        assert self.kept is not None
        return self.kept

    def goes_on(self, tries: int) -> bool:
        """True if there is another attempt to make: the first, or one more for a doubtful picture."""
        if self.kept is None:
            return True
        return self.kept.verdict is not None and self.kept.verdict.doubtful and self.made < tries

    def next(self, rung: Rung, max_area: float) -> Masked | None:
        """The mask that a rung would paint; None if it is the same again, or more than may be painted."""
        if rung.widen is None:
            return self.kept.masked if self.kept else self.start
        if self.start.outcome.segmenter == BY_HAND:  # it says exactly what goes, and its file is not ours
            return None
        wider = rung.widen(self.start)
        in_vain = (wider.mask == self.last.mask).all() or wider.mask.mean() > max_area
        return None if in_vain else wider

    @property
    def number(self) -> int:
        """The number of the last attempt; counting continues when a picture is done again."""
        return (self.start.outcome.attempt or 1) + self.made - 1

    def take(self, job: Job, target: Target, attempt: Attempt) -> None:
        """Keep the better of an attempt and the best so far, and archive the other."""
        if self.kept is None:
            self.kept = attempt
        elif isinstance(attempt.result, Exception):
            self.trouble.append(f"attempt {attempt.number} failed: {attempt.result}")
        else:
            better = _doubt(attempt) < _doubt(self.best)
            self.kept, other = (attempt, self.best) if better else (self.best, attempt)
            self._archive(job, target, other)

    def _archive(self, job: Job, target: Target, attempt: Attempt) -> None:
        assert isinstance(attempt.result, np.ndarray)
        area = mask_area(attempt.mask)
        outcome = replace(self._row(job, attempt, self._reason(attempt)), status="removed", mask_area=area)
        try:
            archive(target, outcome, encode_image(attempt.result), encode_mask(attempt.mask))
        except ValueError as error:
            self.trouble.append(f"attempt {attempt.number} is lost: {error}")

    def outcome(self, job: Job) -> Outcome:
        """The picture's row with the facts of its best attempt, before that is published."""
        after = f" after {self.made} attempts" if self.made > 1 else ""
        reason = "; ".join([self._reason(self.best, after), *self.trouble])
        return replace(self._row(job, self.best, reason), seconds=round(self.seconds, 3))

    def _row(self, job: Job, attempt: Attempt, reason: str) -> Outcome:
        remover, verdict = attempt.rung.remover, attempt.verdict
        model = job.model if remover.choice.uses_weights else None
        return replace(
            attempt.masked.outcome, model=model, method=remover.choice.method, reason=reason,
            revision=remover.choice.checkpoint.revision, steps=remover.steps, strength=remover.strength,
            seed=attempt.seed, attempt=attempt.number, verdict=verdict.word if verdict else None,
            doubt=round(verdict.doubt, 3) if verdict else None,
        )  # fmt: skip

    def _reason(self, attempt: Attempt, after: str = "") -> str:
        """The remarks on its mask, the reason for the method, and what is wrong with the result."""
        said = [said for said in (self.start.outcome.reason, attempt.rung.reason, _effects(attempt)) if said]
        if attempt.verdict and attempt.verdict.doubtful:
            said.append(f"doubtful{after}: {', '.join(attempt.verdict.reasons)}")
        return "; ".join(said)


def climb(job: Job, target: Target, ready: list[Masked], ladder: Iterable[Rung]) -> list[Trial]:
    """The best of at most `job.tries` attempts at each picture; all pictures that reach a rung are one batch.

    `concluded` turns a painted picture into the one to publish.
    """
    began = _at_work()
    trials = [Trial(one, one) for one in ready]
    for one in ready:
        target.clear(files_of(one.outcome.source).attempts)
    for rung in ladder:
        going = [(one, one.next(rung, job.max_area)) for one in trials if one.goes_on(job.tries)]
        _attempt(job, target, rung, [(one, masked) for one, masked in going if masked])
        if not any(one.goes_on(job.tries) for one in trials):
            break
    share = (_at_work() - began) / max(1, sum(one.made for one in trials))  # of one attempt
    for trial in trials:
        trial.seconds = share * trial.made
    return trials


def _at_work() -> float:
    """Seconds on a clock that stops while another portion is painted."""
    return time.monotonic() - seconds_waited()


def concluded(job: Job, trial: Trial) -> Trial:
    """A trial whose best attempt is final and has its verdict.

    With several tries it has that already; a single try is judged here, so that the model need not wait.
    """
    return trial if job.tries > 1 else replace(trial, kept=_made(job, trial.best))


def _attempt(job: Job, target: Target, rung: Rung, going: list[tuple[Trial, Masked]]) -> None:
    if not going:
        return
    for one, masked in going:
        one.made, one.last = one.made + 1, masked
    seeds = [picture_seed(job.seed, one.start.outcome.sha256_in, one.number) for one, _ in going]
    images, masks = [m.picture.image for _, m in going], [m.mask for _, m in going]
    protected = [m.protected for _, m in going]
    barred = [protected] if any(one is not None for one in protected) else []
    painted = each(partial(with_effects, rung.remover), images, masks, seeds, *barred)
    made = [_within(job, masked, one) for (_, masked), one in zip(going, painted, strict=True)]
    found = look_again(job, [masked for _, masked in going], [result for result, _ in made])
    for (one, masked), seed, (result, grown), again in zip(going, seeds, made, found, strict=True):
        attempt = Attempt(one.number, rung, masked, seed, result, again, grown=grown)
        one.take(job, target, _made(job, attempt) if job.tries > 1 else attempt)


def _within(
    job: Job, masked: Masked, painted: tuple[np.ndarray, np.ndarray] | Exception
) -> tuple[np.ndarray | Exception, np.ndarray | None]:
    """A result, and the mask where that is larger than the one given, as far as more may be changed.

    A mask that somebody made by hand says exactly what, and an inverted one what stays: nothing beyond it is changed.
    """
    if isinstance(painted, Exception):
        return painted, None
    result, mask = painted
    if mask is masked.mask:
        return result, None
    if masked.outcome.segmenter == BY_HAND or job.invert:
        return np.where(masked.mask[..., None], result, masked.picture.image), None
    if (share := mask_area(mask)) > job.max_area:
        said = f"with its shadow or reflection its mask would cover {share:.0%} of the picture, more than --max-area"
        return ValueError(f"{said} {job.max_area:g} allows; allow more, or choose another --model"), None
    return result, mask


def _effects(attempt: Attempt) -> str:
    """A remark on a mask that grew by the object's effects, such as its shadow; empty if it did not."""
    more = mask_area(attempt.mask) - mask_area(attempt.masked.mask)
    return f"its shadow or reflection went too: its mask grew by {more:.1%} of the picture" if more else ""


def _made(job: Job, attempt: Attempt) -> Attempt:
    """The attempt as it would be published, with its verdict."""
    if isinstance(attempt.result, Exception):
        return attempt
    picture, mask = attempt.masked.picture, attempt.mask
    try:
        refuse_black(picture.image, mask, attempt.result)
    except Blank as error:
        return replace(attempt, result=error)
    width = (attempt.masked.outcome.dilate or 0) // FADES
    result = as_kept(picture, feather(picture.image, attempt.result, mask, width))
    return replace(attempt, result=result, verdict=judge(result, mask, attempt.again) if job.judged else None)


def archive(target: Target, outcome: Outcome, picture: bytes | bytearray, mask: bytes | bytearray) -> None:
    """Keep an unpublished attempt: PNG files first, its row last, so that an attempt with a row is complete."""
    place = f"{files_of(outcome.source).attempts}/{outcome.attempt or 1}"
    target.write(f"{place}.png", picture)
    target.write(f"{place}.mask.png", mask)
    row = replace(outcome, file_name=f"{place}.png", mask_file_name=f"{place}.mask.png").row()
    target.write(f"{place}.json", json.dumps(row).encode())


def picture_seed(seed: int, sha256: str | None, attempt: int = 1) -> int:
    """The seed of an attempt at a picture, from the job's seed and the picture's content; not from order or name."""
    words = f"{seed}:{sha256}" if attempt == 1 else f"{seed}:{sha256}:{attempt}"
    return int(hashlib.sha256(words.encode()).hexdigest()[:8], 16)


def _doubt(attempt: Attempt) -> float:
    return attempt.verdict.doubt if attempt.verdict else 0.0
