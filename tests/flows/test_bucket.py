"""A store of objects as a folder: over a real S3 server, and in memory."""

from __future__ import annotations

import json
import os
import socket
import time

import pytest

from flows.errors import EnvironmentFault, UsageError
from flows.ledger import lease as leases
from flows.ledger.lease import Lease
from flows.ledger.lock import Busy
from flows.places.bucket import Bucket, is_url


@pytest.fixture(params=["s3", "memory"])
def bucket(request, s3_bucket, tmp_path):
    return Bucket(f"{s3_bucket}/in" if request.param == "s3" else f"memory://{tmp_path.name}/in")


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
        {"host": socket.gethostname(), "pid": os.getpid(), "process": leases.PROCESS},
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
