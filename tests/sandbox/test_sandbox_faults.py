from __future__ import annotations

import pytest

from sm.sandbox.faults import Faults, UnknownFaultError


def known() -> Faults:
    faults = Faults()
    faults.declare("vm", "refused", "the connection is refused")
    faults.declare_scale("vm.pull", "a minute")
    return faults


def test_nothing_strikes_until_it_is_armed():
    assert not known().hit("vm", "refused")


def test_an_armed_fault_strikes_as_often_as_it_was_told_to():
    faults = known()
    faults.arm("vm", "refused", times=2)
    assert [faults.hit("vm", "refused") for _ in range(3)] == [True, True, False]
    assert faults.hits("vm", "refused") == 2


def test_a_fault_without_number_strikes_until_it_is_cleared():
    faults = known()
    faults.arm("vm", "refused", times=None)
    assert all(faults.hit("vm", "refused") for _ in range(5))
    assert faults.clear("vm") == 1
    assert not faults.hit("vm", "refused")


def test_a_fault_lets_as_many_occasions_pass_as_it_was_told_to():
    faults = known()
    faults.arm("vm", "refused", after=2)
    assert [faults.hit("vm", "refused") for _ in range(4)] == [False, False, True, False]


def test_a_fault_strikes_only_what_it_matches():
    faults = known()
    faults.arm("vm", "refused", match={"path": "/posts/*/patch", "method": "PUT"})
    assert not faults.hit("vm", "refused", path="/posts", method="PUT")
    assert not faults.hit("vm", "refused", path="/posts/x/patch")
    assert faults.hit("vm", "refused", path="/posts/x/patch", method="PUT")


def test_a_declared_match_holds_unless_the_arming_says_otherwise():
    faults = Faults()
    faults.declare("mattermost", "slow", "slow", {"user": "claude"})
    faults.arm("mattermost", "slow")
    assert not faults.hit("mattermost", "slow", user="james")
    assert faults.hit("mattermost", "slow", user="claude")
    faults.arm("mattermost", "slow", match={"user": "*"})
    assert faults.hit("mattermost", "slow", user="james")


def test_an_unknown_fault_is_refused_with_those_that_are_known():
    with pytest.raises(UnknownFaultError, match=r"vm\.refused"):
        known().arm("vm", "reufsed")


def test_a_peer_that_asks_for_an_undeclared_fault_is_a_mistake_in_the_peer():
    with pytest.raises(KeyError):
        known().hit("vm", "anything")


@pytest.mark.parametrize(("times", "after"), [(0, 0), (1, -1)])
def test_senseless_numbers_are_refused(times: int, after: int):
    with pytest.raises(UnknownFaultError):
        known().arm("vm", "refused", times=times, after=after)


def test_a_wait_is_unscaled_until_it_is_scaled():
    faults = known()
    assert faults.scale("vm.pull") == 1.0
    faults.set_scale("vm.pull", 0.01)
    assert faults.scale("vm.pull") == 0.01


@pytest.mark.parametrize(("name", "factor"), [("vm.pul", 0.1), ("vm.pull", -1.0), ("vm.pull", float("nan"))])
def test_an_unknown_wait_or_a_senseless_factor_is_refused(name: str, factor: float):
    with pytest.raises(UnknownFaultError):
        known().set_scale(name, factor)
