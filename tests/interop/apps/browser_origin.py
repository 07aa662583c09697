"""A page and its assets under the policies that a site has, and a record of every request that reached the server."""

from __future__ import annotations

from shared_cache_origin import Record

from tricorn import App, Request, Response
from tricorn.caching import CacheControl

PAGE = """<!doctype html>
<meta charset="utf-8"><title>Caching</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/validated.css"><link rel="stylesheet" href="/dated.css">
<script src="/fresh.js" defer></script><script src="/app.0123456789abcdef.js" defer></script>
<img src="/unstored.svg"><img src="/unstored.svg?2">
<p>{number}</p>
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1"/></svg>'

site = App()
app = Record(site)


@site.get("/record", cache="no-store")
async def record() -> dict[str, list[list[object]]]:
    return app.requests


@site.get("/", cache=CacheControl.no_cache())
async def page() -> str:
    return PAGE


@site.get("/another", cache=CacheControl.no_cache())
async def another(request: Request) -> str:
    """Never twice the same, so that it cannot be a 304."""
    return PAGE.format(number=len(app.requests[request.path]))


@site.get("/validated.css", cache=CacheControl.no_cache(), etag="v1")
async def validated() -> Response:
    return Response("p { color: navy }", media_type="text/css")


@site.get("/dated.css", cache=CacheControl.no_cache(), etag=False, last_modified=784111777)
async def dated() -> Response:
    return Response("p { margin: 1px }", media_type="text/css")


@site.get("/fresh.js", cache=CacheControl.public(max_age=600))
async def fresh() -> Response:
    return Response("document.documentElement.dataset.fresh = 'yes'", media_type="text/javascript")


@site.get("/app.0123456789abcdef.js", cache=CacheControl.immutable(public=True))
async def fingerprinted() -> Response:
    return Response("document.documentElement.dataset.ready = 'yes'", media_type="text/javascript")


@site.get("/unstored.svg", cache="no-store")
async def unstored() -> Response:
    return Response(SVG, media_type="image/svg+xml")
