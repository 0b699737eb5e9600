"""The documentation: /openapi.json, and /docs, a page that loads nothing from another host.

Swagger UI lies in api/swagger as its makers packed it; the page, its style and its start are ours.
Litestar's own render plugin starts Swagger UI by an inline script, which our Content-Security-Policy forbids.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template

from litestar import MediaType, Response, get
from litestar.params import FromPath

from api.errors import NotFound
from api.openapi import document, problems, rendered
from domain.access import Access
from domain.errors import MESSAGES

FOLDER = Path(__file__).parent / "swagger"
ANYONE = {"access": Access(anyone=True)}
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "page.css": "text/css",
}
# Swagger UI sets styles from scripts, which `style-src 'self'` allows, and has small pictures in its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
YEAR = "public, max-age=31536000, immutable"  # An asset that changes gets another address.
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@get("/docs", opt=ANYONE, include_in_schema=False, sync_to_thread=False)
def page() -> Response[str]:
    headers = HEADERS | {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(_page(), media_type=MediaType.HTML, headers=headers)


@get("/docs/assets/{name:str}", opt=ANYONE, include_in_schema=False, sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    if name not in ASSETS:
        raise NotFound
    return Response(_asset(name), media_type=ASSETS[name], headers=HEADERS | {"Cache-Control": YEAR})


@get("/openapi.json", opt=ANYONE, include_in_schema=False, sync_to_thread=False)
def openapi() -> Response[bytes]:
    return Response(_document(), media_type=MediaType.JSON, headers=HEADERS | {"Cache-Control": "no-cache"})


@lru_cache(maxsize=1)
def _document() -> bytes:
    return rendered()


@lru_cache(maxsize=1)
def _page() -> str:
    template = Template((FOLDER / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        {name.replace("-", "_").replace(".", "_"): _address(name) for name in ASSETS},
        title=document()["info"]["title"],
        problems=_rows(
            (code, str(status), text) for status, codes in problems().items() for code, text in codes.items()
        ),
        rejections=_rows((code, "rejected", text) for code, text in MESSAGES.items()),
    )


def _rows(rows: Iterable[tuple[str, str, str]]) -> str:
    """Each row has its code as anchor: a problem's `type` is /docs#code."""
    cells = ((escape(code), escape(kind), escape(text)) for code, kind, text in rows)
    return "\n".join(
        f'        <tr id="{code}"><td><code>{code}</code></td><td>{kind}</td><td>{text}</td></tr>'
        for code, kind, text in cells
    )


def _address(name: str) -> str:
    return f"/docs/assets/{name}?v={hashlib.sha256(_asset(name)).hexdigest()[:12]}"


@lru_cache(maxsize=len(ASSETS))
def _asset(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


ROUTES = [page, asset, openapi]
