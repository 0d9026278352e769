"""How a request to a peer can fail."""

from __future__ import annotations

from sm.core.outcome import PeerError, Refused, Unreachable


def test_an_unknown_outcome_may_say_when_to_try_again():
    error = Unreachable("Mattermost does not answer.", retry_after_s=7.0)
    assert isinstance(error, PeerError)
    assert (str(error), error.retry_after_s) == ("Mattermost does not answer.", 7.0)
    assert Unreachable("No answer.").retry_after_s is None


def test_a_definite_no_has_a_code_and_a_sentence():
    error = Refused("too_long", "The post is too long.")
    assert isinstance(error, PeerError)
    assert (error.code, str(error)) == ("too_long", "The post is too long.")
