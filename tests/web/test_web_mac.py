"""What makes a button ours."""

from __future__ import annotations

import pytest

from sm.web.mac import card_context, sign, verify

SECRET = b"s" * 32
FIELDS = {"card_id": "card", "request_id": "request", "action": "approve", "channel_id": "channel"}


def test_a_mac_is_right_for_its_own_fields() -> None:
    assert verify(SECRET, sign(SECRET, **FIELDS), **FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_mac_is_wrong_when_any_field_differs(name: str) -> None:
    assert not verify(SECRET, sign(SECRET, **FIELDS), **{**FIELDS, name: "other"})


def test_a_mac_of_another_secret_is_wrong() -> None:
    assert not verify(SECRET, sign(b"t" * 32, **FIELDS), **FIELDS)


def test_moving_text_from_one_field_to_the_next_changes_the_mac() -> None:
    one = sign(SECRET, card_id="ab", request_id="c", action="approve", channel_id="d")
    other = sign(SECRET, card_id="a", request_id="bc", action="approve", channel_id="d")
    assert one != other


@pytest.mark.parametrize("mac", ["", "é", "\ud800", "0" * 64, "0" * 10_000])
def test_rubbish_is_no_mac(mac: str) -> None:
    assert not verify(SECRET, mac, **FIELDS)


def test_a_cards_context_carries_the_mac_and_not_the_secret() -> None:
    context = card_context(SECRET, **FIELDS)
    assert context == {
        "card_id": "card",
        "request_id": "request",
        "action": "approve",
        "mac": sign(SECRET, **FIELDS),
    }
