"""The list of checks, as a Django user would write it, for ASGI (`asgi`) and WSGI (`wsgi`)."""

import asyncio
import hashlib
import json
import time

from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
    LOGGING_CONFIG=None,
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)

import django  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

seen = {"disconnects": 0}


def plain(request):
    return HttpResponse("Hello, world!", content_type="text/plain")


def echo_json(request):
    return JsonResponse(json.loads(request.body), safe=False)


def form(request):
    return JsonResponse({"name": request.POST["name"], "file": request.FILES["file"].name})


def upload(request):
    size, digest = 0, hashlib.sha256()
    while chunk := request.read(65536):
        size += len(chunk)
        digest.update(chunk)
    return JsonResponse({"bytes": size, "sha256": digest.hexdigest()})


def cookies(request):
    response = HttpResponse("cookies")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def is_asgi(request):
    return hasattr(request, "scope")


def stream(request):
    async def parts():
        for number in range(5):
            yield f"part {number}\n"

    content = parts() if is_asgi(request) else (f"part {number}\n" for number in range(5))
    return StreamingHttpResponse(content, content_type="text/plain")


async def endless_async():
    try:
        while True:
            yield b"x" * 1024
            await asyncio.sleep(0.01)
    finally:
        seen["disconnects"] += 1


def endless_sync():
    try:
        while True:
            yield b"x" * 1024
            time.sleep(0.01)
    finally:
        seen["disconnects"] += 1


def endless(request):
    return StreamingHttpResponse(endless_async() if is_asgi(request) else endless_sync())


def disconnects(request):
    return JsonResponse(seen["disconnects"], safe=False)


def error(request):
    raise RuntimeError("on purpose")


urlpatterns = [
    path("plain", plain),
    path("json", echo_json),
    path("form", form),
    path("upload", upload),
    path("cookies", cookies),
    path("stream", stream),
    path("endless", endless),
    path("disconnects", disconnects),
    path("error", error),
]

django.setup()
asgi = get_asgi_application()
wsgi = get_wsgi_application()
