"""Media types by a file's name, the same on every machine.

``mimetypes`` reads whatever tables the machine has, so that a style sheet can be something else in a container than on
the desk where the site was made. Rules of this module: what the web is made of stands in a table of our own, with the
names that are registered today; the rest is what Python itself brings, without the machine's additions.
"""

from __future__ import annotations

import os
from functools import lru_cache
from mimetypes import MimeTypes
from typing import Final

#: What nothing is known of.
UNKNOWN: Final = "application/octet-stream"

#: By the last suffix, in lower case.
MEDIA_TYPES: Final = {
    # RFC 9239: there is one type for scripts.
    "css": "text/css", "js": "text/javascript", "mjs": "text/javascript", "cjs": "text/javascript",
    "html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml", "txt": "text/plain",
    "md": "text/markdown", "csv": "text/csv", "ics": "text/calendar", "vtt": "text/vtt",
    "json": "application/json", "map": "application/json", "jsonld": "application/ld+json",
    "geojson": "application/geo+json", "webmanifest": "application/manifest+json", "wasm": "application/wasm",
    "xml": "application/xml", "rss": "application/rss+xml", "atom": "application/atom+xml",
    "yaml": "application/yaml", "yml": "application/yaml", "toml": "application/toml", "pdf": "application/pdf",
    "svg": "image/svg+xml", "png": "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg",
    "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "jxl": "image/jxl",
    "heic": "image/heic", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff",
    "ico": "image/vnd.microsoft.icon",
    "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf",
    "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "ogv": "video/ogg",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "ogg": "audio/ogg", "opus": "audio/ogg",
    "flac": "audio/flac", "wav": "audio/wav", "weba": "audio/webm",
    "m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",
    "gltf": "model/gltf+json", "glb": "model/gltf-binary",
    "zip": "application/zip", "7z": "application/x-7z-compressed", "tar": "application/x-tar",
}  # fmt: skip

_python_s = MimeTypes()


@lru_cache(1024)
def media_type_of(name: str) -> str:
    """The media type of a file by its name or path, ``application/octet-stream`` for what is unknown or compressed.

    ``page.html.gz`` is no page.
    """
    base = os.path.basename(name)
    suffix = base.rpartition(".")[2].lower() if "." in base else ""
    known = MEDIA_TYPES.get(suffix)
    if known is not None:
        return known
    guessed, coding = _python_s.guess_type(base)
    return guessed if guessed is not None and coding is None else UNKNOWN
