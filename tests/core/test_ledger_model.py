"""The ledger against a simple model: in any order, and each write of several cut off at each of its steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, settings

from .ledger_machine import NAMES, Ledger
from .names import PYTHON


class Told(Ledger):
    """A story through the same world, looked at by its teller."""

    def holds(self) -> None:
        for each in (
            self.each_grant_traces_to_exactly_one_decision,
            self.each_entry_of_ours_has_a_live_grant,
            self.each_live_grant_is_in_the_alias_or_its_request_says_why_not,
            self.what_is_called_approved_is_open,
            self.each_card_shows_the_state_that_it_is_in,
        ):
            each()

    def writes_two_beside_one_that_is_open(self) -> None:
        for name in reversed(NAMES):
            self.somebody_approves_by_name(name=name, scope="", channel="ch1")
        self.the_effector_goes_on(steps=9)

    def is_cut_off(self, how: str, steps: int) -> None:
        if how == "dies":
            self.the_service_dies(steps=steps)
        else:
            self.opnsense_refuses_a_request(steps=steps, code=how)

    def takes_back(self, names: Iterable[str]) -> None:
        for name in names:
            self.somebody_revokes(name=name)
            self.the_effector_does_all_that_it_can()
            self.holds()
        self.a_look_between_writes()
        self.teardown()


@pytest.mark.parametrize("foreign", ["", *PYTHON.domains])
@pytest.mark.parametrize("how", ["dies", "forbidden"])
@pytest.mark.parametrize("steps", range(8))
def test_a_write_that_is_cut_off_anywhere_beside_an_edit_of_others(steps: int, how: str, foreign: str):
    """Each step, each edit, each order of what is taken back afterwards; one of the names may be others' before."""
    orders = itertools.permutations(PYTHON.domains)
    for edited, adds, order in itertools.product(NAMES, (True, False), orders):
        told = Told()
        if foreign:
            told.others_add(name=foreign)
        told.writes_two_beside_one_that_is_open()
        told.is_cut_off(how, steps)
        (told.others_add if adds else told.others_remove)(name=edited)
        told.holds()
        told.the_effector_does_all_that_it_can()
        told.holds()
        told.takes_back(order)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=80,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
