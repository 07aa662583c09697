"""RFC 7540's tree of streams, without any protocol: who goes before whom, how siblings share, and what it may hold."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tricorn_transports.engines.h2_tree import DependencyTree, _Node


def tree(*places: tuple[int, int, int, bool]) -> DependencyTree:
    """Streams that are open and ready, each with what it depends on, its weight, and whether exclusively."""
    built = DependencyTree(100)
    for stream_id, parent_id, weight, exclusive in places:
        built.depend(stream_id, parent_id, weight, exclusive, is_idle=True)
        built.open(stream_id)
        built.put(stream_id)
    return built


def shares(built: DependencyTree, turns: int, size: int = 1000) -> Counter[int]:
    """Bytes by stream, over so many frames."""
    seen: Counter[int] = Counter()
    for _ in range(turns):
        stream_id = built.next()
        assert stream_id is not None
        built.sent(stream_id, size)
        seen[stream_id] += size
    return seen


def order(built: DependencyTree) -> list[int]:
    """The streams one after the other, each until it has no more."""
    seen = []
    while (stream_id := built.next()) is not None:
        seen.append(stream_id)
        built.remove(stream_id)
    return seen


def test_nothing_is_next_of_nothing() -> None:
    assert DependencyTree(1).next() is None


def test_siblings_share_by_weight() -> None:
    assert shares(tree((1, 0, 40, False), (3, 0, 10, False)), 1000) == {1: 800_000, 3: 200_000}


def test_shares_are_of_bytes_and_not_of_frames() -> None:
    built = tree((1, 0, 16, False), (3, 0, 16, False))
    seen: Counter[int] = Counter()
    for _ in range(1100):
        stream_id = built.next()
        assert stream_id is not None
        size = 1000 if stream_id == 1 else 100
        built.sent(stream_id, size)
        seen[stream_id] += size
    assert abs(seen[1] - seen[3]) <= 1000


def test_a_parent_goes_first_and_its_children_share_what_is_its() -> None:
    built = tree((1, 0, 100, False), (3, 1, 1, False), (5, 1, 3, False), (7, 0, 100, False))
    assert shares(built, 100)[1] == 50_000
    built.remove(1)
    assert shares(built, 400) == {7: 200_000, 3: 50_000, 5: 150_000}


def test_the_exclusive_one_comes_between() -> None:
    assert order(tree((3, 0, 16, False), (7, 3, 40, False), (9, 3, 10, False), (5, 3, 200, True))) == [3, 5, 7, 9]


def test_a_stream_that_depends_on_its_descendant_takes_its_place_below_it() -> None:
    built = tree((1, 0, 16, False), (3, 1, 16, False), (5, 3, 16, False))
    built.depend(1, 5, 16, False, is_idle=False)  # 5 comes up to where 1 was, with 1 below it, and 3 still below 1
    assert order(built) == [5, 1, 3]


def test_an_exclusive_move_below_a_descendant() -> None:
    built = tree((1, 0, 16, False), (3, 1, 16, False), (5, 3, 16, False), (7, 5, 16, False))
    built.depend(1, 5, 16, True, is_idle=False)
    assert order(built) == [5, 1, 3, 7]


def test_an_unknown_parent_means_the_default_priority() -> None:
    built = tree((1, 0, 16, False), (3, 99, 256, True))
    assert shares(built, 100) == {1: 50_000, 3: 50_000}


def test_a_stream_that_begins_late_does_not_catch_up() -> None:
    built = tree((1, 0, 16, False), (3, 0, 16, False))
    built.remove(3)
    shares(built, 1000)
    built.put(3)
    assert shares(built, 100) == {1: 50_000, 3: 50_000}


def test_groups_that_carry_nothing_share_like_streams() -> None:
    built = DependencyTree(100)
    built.depend(3, 0, 200, False, is_idle=True)
    built.depend(5, 0, 50, False, is_idle=True)
    for stream_id, group in ((11, 3), (13, 3), (15, 5)):
        built.depend(stream_id, group, 16, False, is_idle=True)
        built.open(stream_id)
        built.put(stream_id)
    assert shares(built, 1000) == {11: 400_000, 13: 400_000, 15: 200_000}


def test_a_stream_that_is_over_keeps_its_place_for_its_children() -> None:
    built = tree((1, 0, 200, False), (3, 1, 16, False), (5, 0, 50, False))
    built.remove(1)
    built.close(1)
    assert shares(built, 100) == {3: 80_000, 5: 20_000}


def test_what_is_forgotten_leaves_its_weight_to_its_children() -> None:
    built = DependencyTree(1)
    for stream_id, parent_id, weight in ((1, 0, 200), (3, 1, 30), (5, 1, 10), (7, 0, 200)):
        built.depend(stream_id, parent_id, weight, False, is_idle=True)
        built.open(stream_id)
        built.put(stream_id)
    for stream_id in (1, 7):
        built.remove(stream_id)
        built.close(stream_id)
    assert len(built) == 3
    built.put(9)
    assert shares(built, 1080) == {3: 750_000, 5: 250_000, 9: 80_000}


def test_idle_and_closed_streams_are_bounded() -> None:
    built = DependencyTree(10)
    for stream_id in range(1, 2001, 2):
        built.depend(stream_id, max(0, stream_id - 2), 16, False, is_idle=True)
    assert len(built) == 10
    for stream_id in range(2001, 4001, 2):
        built.open(stream_id)
        built.close(stream_id)
    assert len(built) == 20
    built.depend(1, 0, 16, False, is_idle=False)
    assert len(built) == 20


IDS = st.integers(0, 12)
STEPS = st.one_of(
    st.tuples(st.just("depend"), IDS, IDS, st.integers(1, 256), st.booleans(), st.booleans()),
    st.tuples(st.sampled_from(["open", "close", "send", "put", "remove"]), IDS),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_the_tree_stays_a_tree_and_the_next_has_nobody_ready_above_it(steps: list[tuple[object, ...]]) -> None:
    built = DependencyTree(3)
    opened: set[int] = set()
    ready: set[int] = set()
    for step in steps:
        number = step[1]
        assert isinstance(number, int)
        if step[0] == "depend" and number:
            parent_id, weight, exclusive, is_idle = step[2:]
            assert isinstance(parent_id, int)
            assert isinstance(weight, int)
            built.depend(number, parent_id, weight, bool(exclusive), is_idle=bool(is_idle))
        elif step[0] == "open" and number:
            built.open(number)
            opened.add(number)
        elif step[0] == "put" and number in opened - ready:
            built.put(number)
            ready.add(number)
        elif step[0] == "remove" and number in ready:
            built.remove(number)
            ready.discard(number)
        elif step[0] == "close" and number in opened - ready:
            built.close(number)
            opened.discard(number)
        chosen = built.next()
        if step[0] == "send" and chosen is not None:
            built.sent(chosen, number)
        assert (chosen is None) is (not ready)
        check(built._root, built)
        assert len(built) <= len(opened) + 6
        if chosen is not None:
            assert chosen in ready
            above = built._nodes[chosen].parent
            while above is not None:
                assert not above.ready
                above = above.parent


def check(root: _Node, built: DependencyTree) -> None:
    """Every stream hangs in the tree once, and the counts are right."""
    seen = []

    def visit(node: _Node) -> int:
        seen.append(node.stream_id)
        assert all(child.parent is node for child in node.children.values())
        active = int(node.ready) + sum(visit(child) for child in node.children.values())
        assert node.active == active
        return active

    visit(root)
    assert sorted(seen) == sorted(built._nodes)
