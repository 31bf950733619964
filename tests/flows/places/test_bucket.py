"""A store of objects as a folder: over a real S3 server, and in memory."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from flows.errors import EnvironmentFault, UsageError
from flows.ledger import holder as holders
from flows.ledger import lease as leases
from flows.ledger.lease import Lease
from flows.ledger.lock import Busy
from flows.places import bucket as buckets
from flows.places.bucket import Bucket, is_url


@pytest.fixture(params=["s3", "memory"])
def bucket(request, tmp_path):
    s3 = request.param == "s3"
    return Bucket(f"{request.getfixturevalue('s3_bucket')}/in" if s3 else f"memory://{tmp_path.name}/in")


def test_what_is_written_is_listed_read_and_taken_away(bucket):
    bucket.write("a/b c é.txt", b"one")
    bucket.write("d.txt", b"four")
    assert {name: size for name, (size, _) in bucket.find().items()} == {"a/b c é.txt": 3, "d.txt": 4}
    assert bucket.read("a/b c é.txt") == b"one"
    bucket.remove("d.txt")
    bucket.remove("d.txt")
    assert list(bucket.find()) == ["a/b c é.txt"]
    bucket.clear("a")
    assert bucket.find() == {}


def test_a_listing_says_of_every_file_what_asking_for_it_says(bucket):
    bucket.write("a.txt", b"one")
    assert bucket.find()["a.txt"] == bucket.stat("a.txt")


def test_another_content_of_the_same_size_has_another_stamp(bucket):
    bucket.write("a.txt", b"one")
    before = bucket.stat("a.txt")
    bucket.write("a.txt", b"two")
    assert bucket.stat("a.txt")[1] != before[1]


def test_what_is_there_is_not_created_again(bucket):
    bucket.create("a.txt", b"one")
    with pytest.raises(FileExistsError):
        bucket.create("a.txt", b"two")
    assert bucket.read("a.txt") == b"one"


def test_what_is_not_there_is_not_found(bucket):
    for ask in (bucket.read, bucket.stat):
        with pytest.raises(FileNotFoundError):
            ask("nothing.txt")


def test_a_request_that_fails_once_is_asked_again(s3, s3_bucket):
    bucket = Bucket(s3_bucket)
    bucket.write("a.txt", b"one")
    s3.failing = 1
    assert bucket.read("a.txt") == b"one"
    assert s3.failing == 0


def test_a_store_that_goes_on_failing_is_the_machines_fault(s3, s3_bucket, monkeypatch):
    bucket = Bucket(s3_bucket)
    monkeypatch.setattr(type(bucket.fs), "retries", 1)
    s3.failing = 1000
    with pytest.raises(EnvironmentFault, match=r"a\.txt: .*run the same command"):
        bucket.read("a.txt")


def test_an_address_of_no_known_store_is_refused():
    with pytest.raises(UsageError, match="nowhere"):
        Bucket("nowhere://bucket/folder")


@pytest.mark.parametrize("place", ["/data/in", "in", "C:\\in", "file:///data/in"])
def test_paths_are_no_addresses(place):
    assert not is_url(place)


# The lease -----------------------------------------------------------------------------------------------------------


def test_of_two_runs_on_one_target_the_second_is_refused_until_the_first_has_ended(bucket):
    first = Lease(bucket, "lock")
    with pytest.raises(Busy, match="another run"):
        Lease(bucket, "lock")
    first.release()
    Lease(bucket, "lock").release()
    assert bucket.find() == {}


def left_behind(bucket, **changes):
    holder = {"run": "x", "host": "elsewhere", "pid": 1, "process": "x", "renewed": time.time()}
    bucket.write("lock", json.dumps(holder | changes).encode())


@pytest.mark.parametrize(
    "holder",
    [
        {"renewed": 1.0},
        {"host": socket.gethostname(), "pid": 2**22 + 1},
        {"host": socket.gethostname(), "pid": os.getpid()},
        {"host": socket.gethostname(), "pid": os.getpid(), "process": holders.PROCESS},
    ],
    ids=["long silent", "its process is gone", "an earlier process of this number", "an earlier run of this process"],
)
def test_what_a_dead_run_left_behind_is_taken_over(bucket, holder):
    left_behind(bucket, **holder)
    taken = Lease(bucket, "lock")
    assert json.loads(bucket.read("lock"))["run"] == taken.run
    taken.release()


def test_a_run_on_another_machine_that_lately_renewed_is_not_taken_for_dead(bucket):
    left_behind(bucket)
    with pytest.raises(Busy, match="elsewhere"):
        Lease(bucket, "lock")


def test_a_lease_is_renewed_while_its_run_lives_and_a_run_that_lost_it_stops(bucket, monkeypatch):
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.02)
    lease = Lease(bucket, "lock")
    first = json.loads(bucket.read("lock"))["renewed"]
    deadline = time.monotonic() + 30
    while json.loads(bucket.read("lock"))["renewed"] == first:
        assert time.monotonic() < deadline
    lease.check()
    left_behind(bucket)
    while not lease.lost:
        assert time.monotonic() < deadline
        left_behind(bucket)
        time.sleep(0.01)
    with pytest.raises(EnvironmentFault, match="took over"):
        lease.check()
    lease.release()
    assert json.loads(bucket.read("lock"))["host"] == "elsewhere"


NO_LOCKS = [
    *(b"", b"null", b"[1]", b"17", b"{}", b"\xff\xfe", b"[" * 100_000),
    *(b'{"renewed": "x"}', b'{"pid": -1}', b'{"renewed": NaN}', b'{"renewed": true}'),
]


def test_a_lock_object_that_no_run_wrote_is_taken_over(bucket):
    for data in NO_LOCKS:
        bucket.write("lock", data)
        taken = Lease(bucket, "lock")
        assert json.loads(bucket.read("lock"))["run"] == taken.run, data
        taken.release()


def test_a_run_whose_lock_object_became_something_else_or_went_away_stops(bucket):
    for data in [*NO_LOCKS, None]:
        lease = Lease(bucket, "lock")
        bucket.remove("lock") if data is None else bucket.write("lock", data)
        lease._renew()
        with pytest.raises(EnvironmentFault, match="took over"):
            lease.check()
        lease.release()
        assert bucket.has("lock") == (data is not None)


def test_a_time_of_renewal_that_lies_far_in_the_future_holds_nobody_up_for_ever(bucket):
    left_behind(bucket, renewed=time.time() + 365 * 24 * 3600)
    Lease(bucket, "lock").release()


@pytest.mark.parametrize("other", [{"boot": "another kernel"}, {"pids": "pid:[1]"}])
@pytest.mark.parametrize("pid", [2**22 + 1, os.getpid()], ids=["of nobody", "ours"])  # the same names in every worker
def test_a_container_of_the_same_host_name_counts_its_own_processes(bucket, other, pid):
    left_behind(bucket, **json.loads(holders.described("x")) | {"pid": pid} | other)
    with pytest.raises(Busy):
        Lease(bucket, "lock")


def test_another_process_that_has_the_number_of_the_dead_one_does_not_hold_its_lease(bucket):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        left_behind(bucket, **json.loads(holders.described("x")) | {"pid": other.pid, "started": "1"})
        Lease(bucket, "lock").release()
        other.communicate()


def test_a_process_of_this_machine_that_was_stopped_for_long_still_holds_its_lease(bucket):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = holders._started(other.pid)
        left_behind(bucket, **json.loads(holders.described("x")) | {"pid": other.pid, "started": started, "renewed": 1})
        with pytest.raises(Busy):
            Lease(bucket, "lock")
        other.communicate()


def test_of_many_that_take_over_at_once_one_wins(bucket):
    for _ in range(5):
        left_behind(bucket, renewed=1.0)
        together, won = threading.Barrier(6), []

        def take(together: threading.Barrier = together, won: list = won) -> None:
            own = Bucket(bucket.url)
            together.wait()
            with contextlib.suppress(Busy):
                won.append(Lease(own, "lock"))

        runners = [threading.Thread(target=take) for _ in range(6)]
        for one in runners:
            one.start()
        for one in runners:
            one.join()
        assert len(won) == 1
        won[0].check()
        won[0].release()


class Slow(Bucket):
    """Somebody else takes over between its reading of the lock and its writing."""

    def read_version(self, name):
        found = super().read_version(name)
        Bucket(self.url).write(name, holders.described("the other one"))
        return found


def test_who_reads_the_lease_of_a_dead_run_before_another_takes_it_over_does_not_take_it_over_too(bucket):
    left_behind(bucket, renewed=1.0)
    with pytest.raises(Busy, match="just begun"):
        Lease(Slow(bucket.url), "lock")
    assert json.loads(bucket.read("lock"))["run"] == "the other one"


def test_a_renewal_does_not_write_over_who_took_over_in_that_moment(bucket):
    lease = Lease(Slow(bucket.url), "lock")
    lease._renew()
    assert lease.lost
    assert json.loads(bucket.read("lock"))["run"] == "the other one"
    lease.release()


class Careless(Bucket):
    """A store that knows no conditions, or ignores them."""

    def create(self, name, data):
        self.write(name, data)
        return self.claims

    def replace(self, name, data, version):
        self.write(name, data)
        return self.claims

    claims = False


@pytest.mark.parametrize("claims", [False, True], ids=["knows no conditions", "ignores them"])
def test_where_a_store_knows_no_conditions_who_wrote_looks_again(bucket, monkeypatch, claims):
    careless = Careless(bucket.url)
    careless.claims = claims
    later = SimpleNamespace(**vars(time) | {"sleep": lambda _: bucket.write("lock", holders.described("another"))})
    monkeypatch.setattr(leases, "time", later)
    with pytest.raises(Busy, match="just begun"):
        Lease(careless, "lock")
    monkeypatch.setattr(leases, "time", SimpleNamespace(**vars(time) | {"sleep": lambda _: None}))
    left_behind(bucket, renewed=1.0)
    Lease(careless, "lock").release()
    assert not bucket.has("lock")


def test_a_run_that_was_stopped_for_long_asks_the_store_before_it_writes(bucket, monkeypatch):
    lease = Lease(bucket, "lock")
    monkeypatch.setitem(buckets.GUARDS, bucket.url, lease.check)
    bucket.write("a.txt", b"one")
    before = json.loads(bucket.read("lock"))["renewed"]
    later = leases._clock() + 3600
    monkeypatch.setattr(leases, "_clock", lambda: later)
    Bucket(bucket.url).write("a.txt", b"two")
    assert json.loads(bucket.read("lock"))["renewed"] > before
    monkeypatch.setattr(leases, "_clock", lambda: later + 3600)
    bucket.fs.pipe_file(f"{bucket.root}/lock", holders.described("another run"))
    with pytest.raises(EnvironmentFault, match="took over"):
        Bucket(bucket.url).write("a.txt", b"three")
    assert bucket.read("a.txt") == b"two"
    lease.release()


def test_credentials_that_run_out_are_the_machines_fault(s3_bucket, monkeypatch):
    bucket = Bucket(s3_bucket)

    def refuse(*_, **__):
        raise PermissionError("The provided token has expired.")

    monkeypatch.setattr(bucket.fs, "pipe_file", refuse)
    with pytest.raises(EnvironmentFault, match=r"expired.*credentials"):
        bucket.write("a.txt", b"one")
