"""What was tried to open a domain without a person's word that says just that, or to have a card say another."""

from __future__ import annotations

from sm.core import events as e

from .playbook import CHANNEL, OTHER, PYTHON, SESSION, World

D = "pypi.org"


def second(world: World, user: str = "sarah", channel: str = "ch2") -> World:
    """Another person's session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = channel, OTHER
    return world.start("acme/other", user=user).prepared().started().initialized()


def first(world: World) -> World:
    world.channel, world.session = CHANNEL, SESSION
    return world


def test_another_time_chosen_on_another_card_is_the_time_that_counts():
    world = World().ready().asked(D)
    second(world).asked(D).press(D, user="mary").written().applied("unseen")
    first(world).press(D, "hour", user="james")
    (grant,) = world.alias.live()
    assert grant.scope == "hour"
    assert [(r.user_name, r.decided_in, r.state) for r in world.alias.asked(D)] == [
        ("james", CHANNEL, "applying")
    ] * 2
    world.applied().alias_timer(f"grant:{grant.grant_id}")
    assert world.alias.wish() == []


def test_another_session_that_failed_beside_keeps_what_was_decided_for_all():
    world = World().ready().asked(D)
    second(world).asked(D).press(D).written().applied("unseen")
    first(world).press(D, "session")
    assert sorted(grant.scope for grant in world.alias.live()) == ["", "session"]
    assert {world.request(D).state, world.request(D, OTHER).state} == {"applying", "failed"}


def test_a_sets_button_opens_what_it_named_or_nothing():
    """The post may show the old one yet, and is pressed after a restart that made the set another."""
    world = World().configured(sets=(PYTHON,)).ready().asked(D)
    world.configured(sets=(e.DomainSet("python", (*PYTHON.domains, "evil.example")),))
    assert [view.offers for view in world.views] == [()]
    world.press(D, "set", request_id="set:python")
    assert world.alias.wish() == []
    world.configured(sets=(PYTHON,)).press(D, "set", request_id="set:python")
    assert world.alias.wish() == sorted(PYTHON.domains)


def test_this_session_in_the_thread_of_one_that_is_over_is_no_other():
    world = World().ready()
    world.session = OTHER
    world.start("acme/other", post_id="second").prepared().started().initialized()
    world.post("@claude stop", root_id="second").ended().container_stopped().looked_at()
    world.post(f"@claude approve {D} for this session", root_id="second")
    assert (world.said, world.alias.live()) == (["which_session_scope"], [])
    world.post(f"@claude approve {D} for this session")
    assert [grant.session_id for grant in world.alias.live()] == [SESSION]


def test_what_an_administrator_spelled_otherwise_remains_open_and_that_is_said():
    world = World(firewall=["PyPI.org"]).ready().granted(D)
    assert world.firewall == ["PyPI.org", D]
    world.post(f"@claude revoke {D}").written().applied("unseen")
    assert (world.firewall, world.said) == (["PyPI.org"], ["revoked_but_foreign"])
