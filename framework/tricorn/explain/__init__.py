"""What browsers and shared caches will make of a response, for ``tricorn explain`` and for tests.

``explain`` is a pure function of what was seen; ``observe`` asks an application in this process, and sees. How it is
told to a person stands in ``report``, apart from both.
"""

from __future__ import annotations

from tricorn.explain.analysis import explain
from tricorn.explain.facts import Answer, Asked, Explanation, Finding, Observed
from tricorn.explain.observe import observe

__all__ = ["Answer", "Asked", "Explanation", "Finding", "Observed", "explain", "observe"]
