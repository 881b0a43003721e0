"""Counts in messages: one of a thing has no plural."""

from signbit.qmodel.counted import counted


def test_a_count_agrees_with_its_noun():
    assert [counted(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
