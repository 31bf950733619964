"""The page on loopback: it saves straight into the target, for the one who started it and for nobody else."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from flows.ledger.manifest import Manifest
from flows.page import pick as picking
from flows.records import card as cards
from flows.requests.prompt_rows import read_prompts
from flows.review import decisions
from flows.review.server import Site, server
from flows.run import run
from tests.flows.small import delivered, mask, mask_in, small


@pytest.fixture
def target(tmp_path):
    run(small(tmp_path))
    return tmp_path / "out"


@pytest.fixture
def served(target, tmp_path):
    """A site over the target, its server running: (site, address)."""
    from flows.page import report as review
    from flows.review import decisions

    def save(lines: str) -> int:
        return decisions.apply(target, decisions.read_decisions(lines))

    site = Site(
        target, "report.html", ("images/", ".cleanplate/report/"), tmp_path / "in", save, lambda: review.rewrite(target)
    )
    made, address = server(site)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield site, address
    made.shutdown()
    made.server_close()
    thread.join()


def ask(
    address: str,
    path: str = "report.html",
    method: str = "GET",
    body: str | None = None,
    token: str | None = None,
    **headers: str,
):
    """(status, body) of one request below the address's token, with other headers where given."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
    connection.putrequest(method, f"/{token or parts.path.split('/')[1]}/{path}", skip_host=True)
    given = {"Host": parts.netloc} | (
        {"Origin": f"http://{parts.netloc}", "Content-Length": str(len(body))} if body else {}
    )
    for name, value in (given | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        connection.putheader(name, value)
    connection.endheaders(body.encode() if body else None)
    answer = connection.getresponse()
    return answer.status, answer.read()


def decision(name: str = "p00.png", review: str = "reject") -> str:
    return json.dumps({"file_name": name, "review": review, "note": None}) + "\n"


def reviews(target) -> list:
    return [row["review"] for row in cards.read_rows(target)]


def test_a_decision_on_the_page_is_in_the_target_at_once(target, served, reading):
    page = reading(served[1])
    page.tab.locator("#cards").focus()
    page.press("r", "a")
    expect(page.tab.locator("#save")).to_have_text("All saved")
    assert sorted(map(str, reviews(target))) == ["None", "None", "accept", "reject"]
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    assert "1 accepted, 1 rejected of 4" in page.tab.locator("#progress").inner_text()
    assert page.tab.evaluate("rows.filter((row) => row.review).length") == 2  # of the target, not of the browser


def test_an_edited_mask_and_a_kept_original_are_in_the_target_at_once_and_taken_back(target, served, reading, tmp_path):
    before = delivered(target)
    page = reading(served[1])
    page.find("p00.png")
    page.press("e", *["ArrowUp"] * 8, "Enter", "ArrowLeft", "Enter")
    expect(page.tab.locator("#save")).to_have_text("All saved")
    assert mask_in(target, "p00.png").sum() > mask().sum()
    page.press("3", "Enter", *["ArrowDown"] * 6, "Enter", "5", "Enter", "Escape")  # on from the mask as it was found
    expect(page.tab.locator("#save")).to_have_text("All saved")
    assert not mask_in(target, "p00.png").any()
    page.find("p01.png")
    page.press("o")
    expect(page.tab.locator("#save")).to_have_text("All saved")
    assert (target / "images/p01.png").read_bytes() == (tmp_path / "in/p01.png").read_bytes()
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    page.find("p01.png")
    page.press("o")
    page.find("p00.png")
    page.press("e", "0", "Escape")
    expect(page.tab.locator("#save")).to_have_text("All saved")
    assert delivered(target) == before
    assert set(reviews(target)) == {None}


def test_an_original_that_cannot_be_kept_is_said_on_the_page(target, reading, tmp_path):
    def save(lines: str) -> str:
        said: list[str] = []
        decisions.apply(target, decisions.read_decisions(lines), said.append)
        return "; ".join(said)

    made, address = server(Site(target, "report.html", ("images/", ".cleanplate/report/"), None, save, lambda: None))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        (tmp_path / "in/p00.png").unlink()
        page = reading(address)
        page.find("p00.png")
        page.press("o")
        expect(page.tab.locator("#notice")).to_contain_text("the original of 'p00.png' cannot be kept")
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def test_while_a_run_holds_the_target_decisions_wait_in_the_browser_and_are_saved_after(target, served, browser):
    from tests.flows.browser import Reader

    page = Reader(browser, served[1])
    with Manifest(target):
        page.tab.locator("#cards").focus()
        page.press("r")
        expect(page.tab.locator("#notice")).to_contain_text("another run")
        assert reviews(target) == [None] * 4
    page.tab.click("#save")
    expect(page.tab.locator("#save")).to_have_text("All saved")
    assert page.tab.locator("#notice").is_hidden()
    assert "reject" in reviews(target)
    assert all("409" in complaint for complaint in page.complaints)
    page.close()


def test_the_zoom_shows_the_original_itself(served, reading, tmp_path):
    page = reading(served[1])
    page.press("Tab", "z")
    page.tab.locator("#stage img").last.evaluate("image => image.decode()")
    assert any("/original/p0" in url for url in page.asked)


def test_it_listens_on_this_machine_alone(served):
    port = urlsplit(served[1]).port
    with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
        elsewhere.connect(("127.0.0.2", port))


def test_without_the_token_nothing_is_shown_and_nothing_saved(target, served):
    assert ask(served[1])[0] == 200
    for path, method, body in (
        ("report.html", "GET", None),
        ("images/p00.png", "GET", None),
        ("save", "POST", decision()),
    ):
        assert ask(served[1], path, method, body, token="guessed")[0] == 403
    assert reviews(target) == [None] * 4


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", ""])
def test_a_name_that_was_turned_to_this_machine_is_refused(target, served, host):
    host = host.format(port=urlsplit(served[1]).port)
    assert ask(served[1], Host=host)[0] == 421
    assert ask(served[1], "save", "POST", decision(), Host=host, Origin=f"http://{host}")[0] == 421
    assert reviews(target) == [None] * 4


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://{netloc}", "http://localhost:1"])
def test_another_page_in_the_same_browser_cannot_save(target, served, origin):
    origin = origin.format(netloc=urlsplit(served[1]).netloc)
    assert ask(served[1], "save", "POST", decision(), Origin=origin)[0] == 403
    assert reviews(target) == [None] * 4


@pytest.mark.parametrize(
    "path",
    [
        *("metadata.jsonl", ".cleanplate/manifest.sqlite", "images/../metadata.jsonl", "images/../../in/p00.png"),
        *("images/", "images/%2e%2e/%2e%2e/in/p00.png", "images/link.png", "images/%00.png", "/etc/passwd"),
        *("original/../out/metadata.jsonl", "original/../out/images/p00.png", "original/link.png"),
        "original/secret.txt",
    ],
)
def test_only_what_the_page_shows_is_given(target, served, tmp_path, path):
    (tmp_path / "elsewhere.png").write_bytes((tmp_path / "in" / "p00.png").read_bytes())
    (tmp_path / "in" / "secret.txt").write_text("secret")
    for folder in (target / "images", tmp_path / "in"):
        (folder / "link.png").symlink_to(tmp_path / "elsewhere.png")
    assert ask(served[1], "images/p00.png") == (200, (target / "images" / "p00.png").read_bytes())
    assert ask(served[1], "original/p00.png") == (200, (tmp_path / "in" / "p00.png").read_bytes())
    assert ask(served[1], path)[0] == 404


@pytest.mark.parametrize("body", ["{", '{"file_name": "p00.png", "review": "perhaps"}'])
def test_what_is_no_decision_is_refused_in_words(target, served, body):
    status, words = ask(served[1], "save", "POST", decision() + body)
    assert status == 400
    assert b"decisions, line 2" in words
    assert reviews(target) == [None] * 4


def test_what_had_to_be_left_out_is_said_to_the_page(served):
    site, address = served
    keep = site.save

    def said(lines: str) -> str:
        keep(lines)
        return "the original of 'p00.png' cannot be kept; left out"

    site.save = said
    status, words = ask(address, "save", "POST", decision())
    assert (status, words.decode()) == (200, "the original of 'p00.png' cannot be kept; left out")


def test_too_much_at_once_is_refused_before_it_is_read(served):
    assert ask(served[1], "save", "POST", "{}", Content_Length=str(10**12))[0] == 413


def test_the_command_serves_until_interrupted_and_leaves_the_page_as_it_was_seen(target):
    command = [sys.executable, "-m", "flows", "review", str(target), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().strip() == str(target / "report.html")
            address = process.stdout.readline().strip()
            assert ask(address, "save", "POST", decision())[0] == 204
        finally:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert '"review":"reject"' in (target / "report.html").read_text()


def test_a_port_in_use_is_said(served):
    from flows.errors import EnvironmentFault

    with pytest.raises(EnvironmentFault, match="leave out --port"):
        server(served[0], urlsplit(served[1]).port)


def test_picking_saves_into_the_prompts_file(tmp_path, reading):
    small(tmp_path)
    prompts = tmp_path / "prompts.jsonl"

    def write():
        return picking.write(str(tmp_path / "in"), tmp_path / "pick", prompts, print)

    write()
    site = Site(
        tmp_path / "pick",
        picking.PAGE,
        ("pictures/",),
        tmp_path / "in",
        lambda lines: picking.take(prompts, lines),
        write,
    )
    made, address = server(site)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        page = reading(address)
        page.tab.locator("#cards").focus()
        page.press("p", "ArrowRight", "Enter")
        expect(page.tab.locator("#save")).to_have_text("All saved")
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
    assert json.loads(prompts.read_text()) == {"file_name": "p00.png", "points": [[17, 12, 1]]}


def test_what_breaks_off_while_it_is_sent_is_not_saved_up_to_there(target, served):
    whole = decision() + decision("p01.png")
    parts = urlsplit(served[1])
    body = whole.encode()
    with socket.create_connection((parts.hostname, parts.port)) as line:
        place = parts.path.rpartition("/")[0]
        line.sendall(
            f"POST {place}/save HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: http://{parts.netloc}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body[: len(decision())]  # the first line, whole
        )
        line.shutdown(socket.SHUT_WR)
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert set(reviews(target)) == {None}


def test_names_with_line_ends_of_other_scripts_can_be_picked(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    for name in ("a\u2028b.png", "c\x85d.png", "e\x0bf.png"):
        assert picking.take(prompts, json.dumps({"file_name": name, "text": "dog"}, ensure_ascii=False) + "\n") == 1
    assert set(read_prompts(prompts)) == {"a\u2028b.png", "c\x85d.png", "e\x0bf.png"}
