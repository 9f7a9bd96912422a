"""Requests without the token, from other sites and to other names are refused before they run."""

import base64
import hashlib
import re

import pytest
from support.app_client import PORT, TOKEN, client, error_of

from zoo.app.access import Access
from zoo.app.pages import INDEX, script_hashes


@pytest.fixture
def server(tmp_path):
    return client(tmp_path)


def test_the_printed_address_gives_a_cookie_and_a_clean_address(server):
    server.cookies.clear()
    answer = server.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert f"regzoo-{PORT}={TOKEN}" in cookie
    assert {"HttpOnly", "SameSite=strict"} <= set(re.split("; ", cookie))
    assert server.get("/api/app").status_code == 200


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], f"{TOKEN}x", "\u00e9"])
def test_without_the_token_nothing_is_answered(server, token):
    server.cookies.clear()
    params = {} if token is None else {"token": token}
    assert "needs a token" in server.get("/", params=params).text
    for path in ("/api/app", "/api/jobs", "/page/main.js", "/nothing"):
        assert "needs a token" in error_of(server.get(path, params=params), 403)
    assert "needs a token" in error_of(server.post("/api/jobs", json={}), 403)


def test_two_tokens_are_none(server):
    server.cookies.clear()
    assert server.get(f"/?token={TOKEN}&token={TOKEN}").status_code == 403


@pytest.mark.parametrize("cookie", ["wrong", '"', "a=b; ;;", "\x7f"])
def test_a_bad_cookie_is_refused_like_none(server, cookie):
    server.cookies.clear()
    for text in (cookie, f"regzoo-{PORT}={cookie}"):
        error_of(server.get("/api/app", headers={"Cookie": text}), 403)


def test_a_program_sends_the_token_in_a_header(server):
    server.cookies.clear()
    assert server.get("/api/app", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    error_of(server.get("/api/app", headers={"Authorization": "Bearer x"}), 403)


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1.evil.example"])
def test_another_name_of_this_computer_is_refused(server, host):
    assert "127.0.0.1" in error_of(server.get("/api/app", headers={"Host": host}), 421)


@pytest.mark.parametrize("host", ["127.0.0.1:9999", "localhost:8470", "[::1]:8470", "localhost"])
def test_a_forwarded_port_works(server, host):
    headers = {"Host": host, "Cookie": f"regzoo-{PORT}={TOKEN}"}
    assert server.get("/api/app", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9", "http://[", "127.0.0.1:8470"]
)
def test_another_origin_is_refused(server, origin):
    headers = {"Origin": origin}
    error_of(server.post("/api/plan", json={}, headers=headers), 403)
    error_of(server.get("/api/app", headers=headers), 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_the_page_of_another_site_gets_no_answer(server, site):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    for path in ("/", "/api/app", "/page/main.js"):
        error_of(server.get(path, headers=headers), 403)
    navigation = headers | {"Sec-Fetch-Mode": "navigate"}
    assert server.get("/", headers=navigation).status_code == 200  # a link to the page
    error_of(server.get("/api/app", headers=navigation), 403)


def test_its_own_page_is_answered(server):
    headers = {"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-origin"}
    assert server.get("/api/app", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/app", "/nothing", "/api/jobs/x", "/viewer/viewer.js"])
def test_every_answer_has_the_policy(server, path):
    headers = server.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert re.fullmatch(r"'self'( 'sha256-[\w+/]+=*')*", policy["script-src"])
    assert policy["frame-ancestors"] == "'none'"
    assert not re.search(r"https?:|unsafe|\*", headers["content-security-policy"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_public_server_needs_no_token_and_may_be_framed_by_the_hub_only(tmp_path):
    server = client(tmp_path, public=True)
    answer = server.get("/api/app", headers={"Host": "someone-regzoo.hf.space"})
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].endswith(
        "frame-ancestors 'self' https://huggingface.co"
    )
    hosts = {"Host": "a.hf.space", "Origin": "https://evil.example"}
    error_of(server.post("/api/plan", json={}, headers=hosts), 403)


def test_the_hash_of_an_inline_script_is_that_of_its_text():
    text = "\n let a = '<b>';\n"
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    html = f'<script src="/x.js"></script><script type="module">{text}</script>'
    assert script_hashes(html) == f"'sha256-{digest}'"
    assert script_hashes("<p>none</p>") == ""


def test_the_page_has_no_code_that_the_policy_forbids():
    html = INDEX.read_text()
    assert not re.search(r"\son\w+=|style=|javascript:|https?://", html)


def test_a_token_is_compared_as_bytes():
    assert not Access("abc", 1).is_token("\u00e4")
    assert not Access(None, 1).is_token("")
