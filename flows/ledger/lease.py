"""The lock of a target in a store: an object that only one run can create, renewed for as long as that run lives.

Creating it, and taking it over from a dead run, are single conditional requests, so that only one of two runs wins. If
a store has no such requests, or ignores the condition, the writer checks again after a while.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from flows.errors import EnvironmentFault
from flows.ledger.holder import HELD, described, holder_of, in_words, is_void
from flows.ledger.lock import Busy
from flows.places.bucket import Bucket

RENEWED_EVERY = 60.0  # seconds
SURE_FOR = 3 * RENEWED_EVERY  # seconds after which it is renewed before anything is written; far less than STALE_AFTER
SETTLED_AFTER = 5.0  # seconds; by then a write that began before ours has ended


class Lease:
    """Held until `release`. A machine that died leaves its lease behind; after `STALE_AFTER` seconds it is void."""

    def __init__(self, bucket: Bucket, name: str):
        """Raises Busy when another run has it."""
        self.bucket, self.name = bucket, name
        self.run = uuid.uuid4().hex
        self.lost = False
        self._renewal = threading.Lock()
        self._sure = _clock()  # when the store last confirmed it
        HELD.add(self.run)
        try:
            self._acquire()
        except BaseException:
            HELD.discard(self.run)
            raise
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew_now_and_then, daemon=True)
        self._renewing.start()

    def check(self) -> None:
        """Raises EnvironmentFault if another run took this one for dead and continued in its place.

        A process that was suspended for a while has to ask the store first.
        """
        if not self.lost and _clock() - self._sure > SURE_FOR:
            self._renew()
        if self.lost:
            raise EnvironmentFault(
                f"another run took over {self.bucket.url}, since this one was silent for too long; this one ends here"
            )

    def release(self) -> None:
        """Release it, so that the next run can have it at once."""
        self._ended.set()
        self._renewing.join()
        HELD.discard(self.run)
        if not self.lost and self._is_ours():
            self.bucket.remove(self.name)

    def _acquire(self) -> None:
        put = self._created
        try:
            sure = put()
        except FileExistsError:
            put = self._in_place_of_a_dead_one()
            try:
                sure = put()
            except (FileNotFoundError, FileExistsError) as error:
                if not self._is_ours():  # otherwise the request was repeated, since the first answer got lost
                    raise self._too_late() from error
                sure = True
        if not (sure and _is_refused(put)):
            time.sleep(SETTLED_AFTER)
            if not self._is_ours():
                raise self._too_late()
        self._sure = _clock()

    def _created(self) -> bool:
        return self.bucket.create(self.name, described(self.run))

    def _in_place_of_a_dead_one(self) -> Callable[[], bool]:
        """Replace the existing lease by this run's. Raises Busy if its holder is alive."""
        try:
            data, version = self.bucket.read_version(self.name)
        except FileNotFoundError as error:
            raise self._too_late() from error
        if not is_void(holder := holder_of(data)):
            raise Busy(
                f"another run ({in_words(holder)}) is working on {self.bucket.url}; wait for it, or choose another "
                f"target; if that run no longer exists, remove {self.name} from there"
            )
        return lambda: self.bucket.replace(self.name, described(self.run), version)

    def _too_late(self) -> Busy:
        return Busy(f"another run has just begun or ended on {self.bucket.url}; wait for it")

    def _is_ours(self) -> bool:
        try:
            return holder_of(self.bucket.read(self.name)).get("run") == self.run
        except FileNotFoundError:
            return False

    def _renew(self) -> None:
        """Renew the lease, or note that it is lost. Raises EnvironmentFault or OSError if the store does not answer."""
        with self._renewal:
            began = _clock()
            try:
                data, version = self.bucket.read_version(self.name)
                self.lost = holder_of(data).get("run") != self.run
                if not self.lost:
                    self.bucket.replace(self.name, described(self.run), version)
                    self._sure = began
            except FileNotFoundError:  # after it was taken, another run may have begun and ended
                self.lost = True
            except FileExistsError:
                self.lost = not self._is_ours()

    def _renew_now_and_then(self) -> None:
        while not self.lost and not self._ended.wait(RENEWED_EVERY):
            try:
                self._renew()
            except (OSError, EnvironmentFault):
                continue  # a store may be unavailable for a while; the next picture's own request will report it


def _is_refused(put: Callable[[], bool]) -> bool:
    """True if the store refuses to create the object twice. Some S3-compatible stores ignore all conditions."""
    try:
        put()
    except FileExistsError:
        return True
    return False


def _clock() -> float:
    """A clock in seconds that continues while the machine is suspended, unlike `time.monotonic` on Linux."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
