"""RFC 7540's priorities: a tree of streams, in which each shares what its parent leaves in proportion to its weight.

RFC 9113 has withdrawn them, but clients from before RFC 9218 say nothing else.

Rules of this module:
- A tree is one level of the ``Scheduler``, in the place of the default urgency. So what an application has made more or
  less urgent goes before or behind all that the client's tree orders.
- A stream goes before those that depend on it (section 5.3.1). Siblings share by bytes: who has had the least, divided
  by its weight, is next. Who begins late begins where the others are; what it did not use before is lost.
- Streams that carry nothing, closed or not yet opened, are remembered because others depend on them (section 5.3.4),
  but not more of each than ``remembered``. What is forgotten leaves its children to its parent. So the tree's size,
  its depth, and what one frame costs are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator

DEFAULT_WEIGHT = 16
#: Bytes are divided by weights of up to 256 without losing anything that matters.
_UNIT = 65_536


class _Node:
    """A stream in the tree.

    Attributes:
        children: In the order in which they came.
        weight: 1 to 256.
        ready: It can send.
        active: How many of it and its descendants can send.
        had: What it and its descendants have sent, by weight, comparable among siblings.
        clock: Where its children are: what the last one chosen had.
    """

    __slots__ = ("active", "children", "clock", "had", "parent", "ready", "stream_id", "weight")

    def __init__(self, stream_id: int, weight: int = DEFAULT_WEIGHT) -> None:
        self.stream_id = stream_id
        self.parent: _Node | None = None
        self.children: dict[int, _Node] = {}
        self.weight = weight
        self.ready = False
        self.active = 0
        self.had = 0
        self.clock = 0


class DependencyTree:
    """The order among streams that RFC 7540 section 5.3 describes: a ``scheduler.Level``.

    Args:
        remembered: How many closed streams, and how many that have not been opened, keep their places.
    """

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._root = _Node(0)
        self._nodes: dict[int, _Node] = {0: self._root}
        self._idle: dict[int, None] = {}  # named, but not opened; the oldest first
        self._closed: dict[int, None] = {}

    def __len__(self) -> int:
        """How many streams have a place."""
        return len(self._nodes) - 1

    # ------------------------------------------------------------------------------------------------- as a level

    def put(self, stream_id: int, order: int = 0, incremental: bool = False) -> None:
        node = self._nodes.get(stream_id)
        if node is None:
            self.open(stream_id)
            node = self._nodes[stream_id]
        node.ready = True
        self._activate(node, 1)

    def remove(self, stream_id: int, order: int = 0, incremental: bool = False) -> None:
        node = self._nodes[stream_id]
        node.ready = False
        self._activate(node, -1)

    def next(self) -> int | None:
        node = self._root
        while node.active:
            if node.ready:
                return node.stream_id
            chosen = min((child for child in node.children.values() if child.active), key=_had)
            node.clock = chosen.had
            node = chosen
        return None

    def sent(self, stream_id: int, size: int) -> None:
        """A stream that ``next()`` gave has sent ``size`` bytes."""
        node = self._nodes.get(stream_id)
        while node is not None and node is not self._root:
            node.had += size * _UNIT // node.weight
            node = node.parent

    # ---------------------------------------------------------------------------------------------- what streams do

    def open(self, stream_id: int) -> None:
        """The stream carries a request from now on; one that has no place yet depends on nothing (section 5.3.5)."""
        self._idle.pop(stream_id, None)
        self._closed.pop(stream_id, None)
        if stream_id not in self._nodes:
            self._attach(self._add(stream_id), self._root)

    def close(self, stream_id: int) -> None:
        """The stream is over; it keeps its place for a while."""
        if stream_id in self._nodes and stream_id not in self._idle:
            self._remember(self._closed, stream_id)

    def depend(self, stream_id: int, parent_id: int, weight: int, exclusive: bool, *, is_idle: bool) -> None:
        """Gives a stream its place (sections 5.3.1 to 5.3.3).

        Args:
            parent_id: What it depends on, 0 for nothing. One without a place gives the stream the default priority.
            weight: 1 to 256.
            exclusive: It comes between its parent and all of the parent's children.
            is_idle: It has not been opened yet. Of one that is neither open nor idle nothing is remembered.
        """
        node = self._nodes.get(stream_id)
        parent = self._nodes.get(parent_id)
        is_new = node is None
        if node is None:
            if not is_idle:
                return
            node = self._add(stream_id)
        if parent is None or parent is node:
            parent, weight, exclusive = self._root, DEFAULT_WEIGHT, False
        if node.parent is not None:
            if any(above is node for above in _ancestors(parent)):
                self._move(parent, node.parent)
            self._detach(node)
        node.weight = weight
        if exclusive:
            for child in list(parent.children.values()):
                self._move(child, node)
        self._attach(node, parent)
        if is_new:
            self._remember(self._idle, stream_id)

    # ------------------------------------------------------------------------------------------------------ the tree

    def _add(self, stream_id: int) -> _Node:
        node = self._nodes[stream_id] = _Node(stream_id)
        return node

    def _remember(self, kind: dict[int, None], stream_id: int) -> None:
        kind[stream_id] = None
        if len(kind) > self._remembered:
            oldest = next(iter(kind))
            del kind[oldest]
            self._forget(self._nodes.pop(oldest))

    def _forget(self, node: _Node) -> None:
        """Its children share its weight among themselves, in proportion to theirs (section 5.3.4)."""
        parent = node.parent
        assert parent is not None
        children = list(node.children.values())
        total = sum(child.weight for child in children)
        self._detach(node)
        for child in children:
            child.weight = max(1, node.weight * child.weight // total)
            self._move(child, parent)

    def _move(self, node: _Node, parent: _Node) -> None:
        self._detach(node)
        self._attach(node, parent)

    def _attach(self, node: _Node, parent: _Node) -> None:
        node.parent = parent
        node.had = parent.clock
        parent.children[node.stream_id] = node
        if node.active:
            self._activate(parent, node.active)

    def _detach(self, node: _Node) -> None:
        parent = node.parent
        assert parent is not None
        node.parent = None
        del parent.children[node.stream_id]
        if node.active:
            self._activate(parent, -node.active)

    @staticmethod
    def _activate(node: _Node, count: int) -> None:
        """Counts ``count`` more streams that can send, for ``node`` and all above it."""
        above: _Node | None = node
        while above is not None:
            if not above.active and above.parent is not None:
                above.had = max(above.had, above.parent.clock)
            above.active += count
            above = above.parent


def _had(node: _Node) -> int:
    return node.had


def _ancestors(node: _Node) -> Iterator[_Node]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent
