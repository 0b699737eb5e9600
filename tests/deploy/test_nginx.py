"""The configuration of nginx agrees with the API that it stands before."""

import json
import re
from pathlib import Path

from api.__main__ import KEEP_ALIVE_SECONDS
from api.bodies import BODY_MAX_BYTES
from api.jobs import STREAM_SECONDS, WAIT_SECONDS_MAX
from api.openapi import document

FOLDER = Path(__file__).parents[2] / "deploy/nginx"
HTTP, SITE, UPSTREAMS = (
    (FOLDER / name).read_text(encoding="utf-8") for name in ("http.conf", "site.conf", "upstreams.conf")
)


def test_just_the_posts_that_demand_an_idempotency_key_may_be_sent_again() -> None:
    patterns = re.findall(r'location ~ "([^"]+)" \{\s+proxy_next_upstream error timeout non_idempotent;', SITE)
    posts = {path: operations["post"] for path, operations in document()["paths"].items() if "post" in operations}
    demanding = {path for path, operation in posts.items() if "Idempotency-Key" in json.dumps(operation["parameters"])}
    assert {path for path in posts if any(re.search(one, path) for one in patterns)} == demanding
    assert "non_idempotent" not in HTTP


def test_no_method_but_post_is_let_through_twice_by_that() -> None:
    patterns = re.findall(r'location ~ "([^"]+)" \{\s+proxy_next_upstream', SITE)
    methods = {
        method
        for path, operations in document()["paths"].items()
        for method in operations
        if any(re.search(one, path) for one in patterns)
    }
    assert methods <= {"get", "post", "parameters"}


def test_every_stream_is_passed_on_unbuffered() -> None:
    [pattern] = re.findall(r'location ~ "([^"]+)" \{\s+proxy_buffering off;', SITE)
    streams = {
        path
        for path, operations in document()["paths"].items()
        if "text/event-stream" in json.dumps(operations.get("get", {}))
    }
    assert {path for path in document()["paths"] if re.search(pattern, path)} == streams != set()


def test_a_body_may_be_as_large_as_the_api_takes() -> None:
    assert f"client_max_body_size {BODY_MAX_BYTES // 1024}k;" in HTTP
    assert f"client_body_buffer_size {BODY_MAX_BYTES // 1024}k;" in HTTP


def test_the_longest_answers_are_waited_for() -> None:
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", HTTP)
    assert int(seconds) > max(WAIT_SECONDS_MAX, STREAM_SECONDS)


def test_an_idle_connection_is_nginxs_to_close() -> None:
    [seconds] = re.findall(r"keepalive_timeout (\d+)s;", UPSTREAMS)
    assert int(seconds) < KEEP_ALIVE_SECONDS


def test_the_logs_format_holds_neither_query_nor_body_nor_credentials() -> None:
    logged = re.findall(r"\$(\w+)", HTTP.partition("log_format")[2].partition(";")[0])
    assert (
        set(logged) & {"request_uri", "args", "query_string", "request", "request_body", "http_authorization"} == set()
    )
