"""nghttp speaks RFC 7540's priorities, and with a flag says that it does not: the same server orders by either."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.interop

SIZE = 3_000_000
FRAME = 16_384
#: nghttp's first streams are 3 to 11, which it gives to groups that carry nothing.
FIRST, SECOND = 13, 15


@pytest.fixture(params=["asyncio", "uvloop"])  # trio wakes tasks in no order
def received(
    request: pytest.FixtureRequest, launch: Callable[..., Any], program: Callable[[str], str]
) -> Callable[..., list[tuple[int, int]]]:
    """Stream and length of each DATA frame that nghttp receives for two equal responses, given these flags."""
    nghttp = program("nghttp")
    command = ["run", "sized_app:app", "--runtime", request.param, "--bind", "127.0.0.1:{port}"]
    server = launch([sys.executable, "-m", "tricorn_transports", *command])

    def run(*flags: str) -> list[tuple[int, int]]:
        urls = [f"http://127.0.0.1:{server.port}/{name}/{SIZE}" for name in ("first", "second")]
        windows = ("-w", "24", "-W", "24")  # 16 MiB, so that priorities decide and not windows
        done = subprocess.run(
            [nghttp, "-nv", *windows, *flags, *urls], capture_output=True, text=True, timeout=60, check=True
        )
        found = re.findall(r"recv DATA frame <length=(\d+), flags=0x\w+, stream_id=(\d+)>", done.stdout)
        frames = [(int(stream), int(size)) for size, stream in found]
        assert sum(size for _, size in frames) == 2 * SIZE
        return frames

    return run


def had(frames: list[tuple[int, int]]) -> int:
    """Bytes of the second response when the first was complete."""
    bytes_of = {FIRST: 0, SECOND: 0}
    for stream, size in frames:
        bytes_of[stream] += size
        if bytes_of[FIRST] == SIZE:
            return bytes_of[SECOND]
    raise AssertionError("the first response was not complete")


@pytest.mark.parametrize(("weights", "share"), [(("200", "50"), 0.25), (("16", "16"), 1.0), (("40", "30"), 0.75)])
def test_weights_share_by_bytes(
    weights: tuple[str, str], share: float, received: Callable[..., list[tuple[int, int]]]
) -> None:
    first, second = weights
    assert abs(had(received("-p", first, "-p", second)) - share * SIZE) <= 6 * FRAME


def test_who_does_without_gets_one_after_the_other(received: Callable[..., list[tuple[int, int]]]) -> None:
    assert had(received("--no-rfc7540-pri", "-p", "10", "-p", "200")) <= 6 * FRAME
