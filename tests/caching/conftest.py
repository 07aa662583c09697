"""What the tests of the caching values share."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest


@pytest.fixture
def steps() -> Callable[[Callable[[], object]], float]:
    """The least CPU time in seconds of a few calls; only to be compared with itself, for inputs of two sizes."""

    def measure(func: Callable[[], object]) -> float:
        def once() -> float:
            start = process_time()
            func()
            return process_time() - start

        return min(once() for _ in range(3))

    return measure
