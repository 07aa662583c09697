"""What an HTTP/2 client says about priorities, and which of the two schemes it therefore gets.

Rules of this module:
- One rule for a connection. A client that has said anything in the words of RFC 9218 (its setting, a Priority field, a
  PRIORITY_UPDATE) gets RFC 9218, whatever else it says, from then on. One that has only spoken RFC 7540 gets the tree.
  One that has said nothing gets RFC 9218's defaults.
- A PRIORITY_UPDATE may come before its request (RFC 9218 section 7.1). It is kept for it, and counts for more than the
  request's own field.
"""

from __future__ import annotations

from dataclasses import dataclass

from tricorn_transports.engines.h2_tree import DEFAULT_WEIGHT, DependencyTree
from tricorn_transports.engines.scheduler import Scheduler, UrgencyLevel
from tricorn_transports.http.priority import DEFAULT, DEFAULT_URGENCY, Priority


@dataclass(slots=True)
class Dependency:
    """A stream's place in the tree, as a PRIORITY frame or a HEADERS frame says it (RFC 7540 section 5.3)."""

    parent_id: int
    weight: int
    exclusive: bool


class Priorities:
    """One connection's.

    Args:
        scheduler: The order that is kept up to date.
        max_streams: How many streams the client may have open.

    Attributes:
        tree: The client's tree, where that is the rule.
        is_spoken_of: The client has said something about priorities, in whatever words.
    """

    __slots__ = ("_early", "_is_extensible", "_max_streams", "_scheduler", "is_spoken_of", "tree")

    def __init__(self, scheduler: Scheduler, max_streams: int) -> None:
        self._scheduler = scheduler
        self._max_streams = max_streams
        self._is_extensible = False
        self._early: dict[int, Priority] = {}
        self.tree: DependencyTree | None = None
        self.is_spoken_of = False

    def understands_extensible(self) -> None:
        """The client has spoken RFC 9218."""
        self._is_extensible = self.is_spoken_of = True
        if self.tree is not None:
            self.tree = None
            self._scheduler.replace_level(DEFAULT_URGENCY, UrgencyLevel())

    def opened(
        self, stream_id: int, said: tuple[int, bool] | None, dependency: Dependency | None
    ) -> tuple[int, bool] | None:
        """A request has come. Gives what its client wants for it, ``None`` for nothing in particular.

        Args:
            said: Its Priority field.
            dependency: Its place in the tree.
        """
        if self._early:
            said = self._early.pop(stream_id, said)
            for skipped in [each for each in self._early if each < stream_id]:
                del self._early[skipped]  # it was idle, and is closed now (RFC 9113 section 5.1.1)
        if said is not None and not self._is_extensible:
            self.understands_extensible()
        elif dependency is not None:
            self.depends(stream_id, dependency, is_idle=True)
        if self.tree is not None:
            self.tree.open(stream_id)
        self._scheduler.add(stream_id, *(said or DEFAULT))
        return said

    def pushed(self, stream_id: int, parent_id: int) -> None:
        """We have promised a response; in the tree it depends on the one that it is for (RFC 7540 section 5.3.5)."""
        if self.tree is not None:
            self.tree.depend(stream_id, parent_id, DEFAULT_WEIGHT, False, is_idle=True)
            self.tree.open(stream_id)
        self._scheduler.add(stream_id)

    def updated_early(self, stream_id: int, priority: Priority, running: int) -> bool:
        """A PRIORITY_UPDATE for a request that has not come yet.

        Args:
            running: How many streams are open.

        Returns:
            Whether it may be: with those that are open there must not be more than the client may open.
        """
        self._early.pop(stream_id, None)
        self._early[stream_id] = priority
        return running + len(self._early) <= self._max_streams

    def depends(self, stream_id: int, dependency: Dependency, *, is_idle: bool) -> None:
        """The client has given a stream its place in the tree; ``is_idle`` of one that has not been opened."""
        if self._is_extensible:
            return
        self.is_spoken_of = True
        if self.tree is None:
            self.tree = DependencyTree(self._max_streams)
            for known in self._scheduler:
                self.tree.open(known)
            self._scheduler.replace_level(DEFAULT_URGENCY, self.tree)
        place = dependency
        self.tree.depend(stream_id, place.parent_id, place.weight, place.exclusive, is_idle=is_idle)
