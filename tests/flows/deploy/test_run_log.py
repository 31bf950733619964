"""What a run tells Prefect while it goes on, and what it makes of a server that does not answer."""

import logging
import threading
import warnings

import pytest

from flows import remove_objects
from flows.deploy.library_log import passed_on
from flows.outcome import Outcome


def test_a_server_that_is_away_does_not_end_a_run(monkeypatch, caplog):
    log = remove_objects.RunLog.__new__(remove_objects.RunLog)
    log.log, log.total, log.done, log.artifact = logging.getLogger("run"), 1, 0, "some"

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(remove_objects, "update_progress_artifact", away)
    log.did(Outcome("a.png", "removed"))
    assert log.done == 1
    assert "nobody answers" in caplog.text


@pytest.mark.parametrize("name", ["diffusers.models", "transformers", "huggingface_hub.file_download"])
def test_what_a_library_logs_reaches_the_log_of_the_run_also_from_a_thread(caplog, name):
    caplog.set_level(logging.WARNING, name)  # which loading weights may have raised in this process
    with passed_on(logging.getLogger("run")):
        speaking = threading.Thread(target=logging.getLogger(name).warning, args=("old %s", "weights"))
        speaking.start()
        speaking.join()
    assert ("run", logging.WARNING, f"{name}: old weights") in caplog.record_tuples


def test_a_warning_of_python_reaches_it_and_none_after_the_run(caplog):
    with passed_on(logging.getLogger("run")):
        warnings.warn("this is odd", stacklevel=1)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn("later", stacklevel=1)
    said = [message for name, _, message in caplog.record_tuples if name == "run"]
    assert [("this is odd" in message, "later" in message) for message in said] == [(True, False)]
    assert [str(one.message) for one in seen] == ["later"]
