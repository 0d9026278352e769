"""The comparison itself: what it lets through, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest
from recorded_kit import Comparison, Rule

ONE, TWO, THREE, FOUR = "a" * 26, "b" * 26, "c" * 26, "d" * 26
NOW = 1_795_491_974_385


def compared(recorded: Any, ours: Any, *rules: Rule) -> list[str]:
    comparison = Comparison(rules)
    comparison.compare("x", recorded, ours)
    return comparison.result()


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        ({"a": 1, "b": [True, None, "t"]}, {"b": [True, None, "t"], "a": 1}),
        ({"id": ONE, "again": ONE}, {"id": TWO, "again": TWO}),
        ({"order": [ONE], "posts": {ONE: 1}}, {"order": [TWO], "posts": {TWO: 1}}),
        ({"id": ONE, "name": f"{ONE}__x"}, {"id": TWO, "name": f"{TWO}__x"}),
        (
            {"create_at": NOW, "update_at": NOW, "delete_at": 0},
            {"create_at": NOW + 5, "update_at": NOW + 5, "delete_at": 0},
        ),
        ({"post": f'{{"id":"{ONE}","n":1}}'}, {"post": f'{{"n": 1, "id": "{TWO}"}}'}),
    ],
)
def test_the_same_with_other_ids_times_and_order_of_keys_is_no_difference(recorded: Any, ours: Any) -> None:
    assert compared(recorded, ours) == []


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {"a": ""}),
        ({"a": 1}, {"a": True}),
        ([1], [1, 1]),
        ([1, 2], [2, 1]),
        ({"id": ONE, "again": ONE}, {"id": TWO, "again": THREE}),
        ({"id": ONE, "other": THREE}, {"id": TWO, "other": TWO}),
        ({"at": NOW}, {"at": 0}),
        ({"at": 0}, {"at": NOW}),
        ({"create_at": NOW, "update_at": NOW}, {"create_at": NOW, "update_at": NOW + 1}),
        ({"post": '{"n":1}'}, {"post": '{"n":2}'}),
        ({"mentions": "[]"}, {"mentions": []}),
        (404, 200),
    ],
)
def test_anything_else_is_a_difference(recorded: Any, ours: Any) -> None:
    assert compared(recorded, ours) != []


def test_a_rule_allows_what_it_names_and_no_more() -> None:
    rule = Rule("x.a", "value", "reason")
    assert compared({"a": 1}, {"a": 2}, rule) == []
    assert compared({"a": 1, "b": 1}, {"a": 2, "b": 2}, rule) == ["x.b: 1, ours 2"]
    assert compared({"a": 1}, {}, rule)[0] == "x.a: 1, ours lacks it"
    assert compared({"a": 1}, {"a": "1"}, rule)[0] == 'x.a: 1, ours "1" of another type'


def test_a_rule_that_nothing_needs_is_a_difference() -> None:
    assert len(compared({"a": 1}, {"a": 1}, Rule("x.a", "value", "reason"))) == 1


def test_the_same_items_in_another_order_are_a_difference_of_their_own() -> None:
    assert compared([1, 2], [2, 1]) == ["x: the same items in another order"]
    assert compared([1, 2], [2, 1], Rule("x", "order", "reason")) == []
    assert compared([1, 2], [2, 3], Rule("x", "order", "reason")) != []
