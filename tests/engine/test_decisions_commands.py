"""Commands in the channel: approve, deny, revoke, net and pending, before the sandbox's Mattermost."""

from __future__ import annotations

import re

import pytest
from chat_kit import Bench, Town
from decisions_kit import (
    NO,
    YES,
    Card,
    card_of,
    configure,
    data,
    decisions,
    grants,
    heard,
    hears,
    make_card,
    quiet,
)
from engine_kit import ALIAS_STREAM, ManualClock, ready_session, until

from sm.core import streams
from sm.core.events import Ask, DomainSet, NetworkRequested, Policy, StreamQuarantined

PYTHON = DomainSet("python", ("pypi.org", "files.pythonhosted.org"))


class Room:
    """The town's channel with a bench that listens, and what it says there."""

    def __init__(self, bench: Bench, town: Town) -> None:
        self.bench, self.town = bench, town

    async def say(self, who: str, text: str, *, channel: str = "", root_id: str = "") -> str:
        """Somebody writes; answers the post's id when it is taken."""
        taken = len(self.bench.engine.recorded("chat.message_received"))
        post = await self.town.write(who, text, channel=channel, **({"root_id": root_id} if root_id else {}))
        await until(lambda: len(self.bench.engine.recorded("chat.message_received")) > taken)
        return post

    async def answer(self, who: str, text: str, *, channel: str = "") -> str:
        """Somebody writes, and the bot answers in the channel with one post."""
        await quiet(self.bench)
        before = len(self.town.messages(channel))
        await self.say(who, text, channel=channel)
        await until(lambda: len(self.town.messages(channel)) > before, f"an answer to {text}")
        await quiet(self.bench)
        said = self.town.messages(channel)[before:]
        assert len(said) == 1, said
        return said[0]

    async def silence(self, who: str, text: str) -> None:
        """Somebody writes, and nothing is said in the channel."""
        await quiet(self.bench)
        before = len(self.town.messages())
        await self.say(who, text)
        await quiet(self.bench)
        assert self.town.messages()[before:] == []


@pytest.fixture
async def room(bench: Bench, town: Town) -> Room:
    await configure(bench, sets=(PYTHON,))
    await bench.listen(sets=("python",))
    return Room(bench, town)


@pytest.fixture
async def card(room: Room, bench: Bench, town: Town) -> Card:
    return await make_card(bench, town, by="james")


async def opened(bench: Bench, domain: str = "pypi.org") -> None:
    bench.firewall.answers.set()
    await until(lambda: data(bench).is_open(domain), f"{domain} is open")
    await quiet(bench)


# --- approve --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["pypi.org", "PyPI.org.", "`pypi.org`", "[pypi.org](http://pypi.org)"])
async def test_approve_decides_about_the_card_and_says_no_more(
    room: Room, card: Card, bench: Bench, written: str
) -> None:
    await room.silence("sarah", f"@claude approve {written}")
    assert (card.state, grants(bench)) == ("applying", [("pypi.org", "", "sarah")])
    await card.shows("@sarah chose Approve")
    [event] = decisions(bench)
    assert (event.via, event.is_member) == ("command", True)


@pytest.mark.parametrize("scope", ["1h", "for 1 hour", "for an hour"])
async def test_approve_for_an_hour(room: Room, card: Card, bench: Bench, scope: str) -> None:
    await room.silence("sarah", f"@claude approve pypi.org {scope}")
    [grant] = data(bench).live()
    assert (grant.scope, grant.until_ms - grant.at_ms) == ("hour", 3_600_000)


async def test_approve_for_this_session(room: Room, bench: Bench, town: Town) -> None:
    session = streams.id_of(await ready_session(bench.engine, channel=town.channel))
    card = await make_card(bench, town, session=session)
    await room.say("james", "@claude approve pypi.org for this session")
    [grant] = data(bench).live()
    assert (grant.scope, grant.session_id, card.state) == ("session", session, "applying")


async def test_approve_for_this_session_where_none_is_meant_asks_which(room: Room, bench: Bench) -> None:
    assert "For which session?" in await room.answer("james", "@claude approve pypi.org for this session")
    assert grants(bench) == []


async def test_several_names_are_decided_at_once(room: Room, bench: Bench, town: Town) -> None:
    card = await make_card(bench, town, "pypi.org", "example.com")
    other = await make_card(bench, town, "example.org", session="s2")
    await room.silence("sarah", "@claude approve pypi.org, example.org")
    assert (card.states, other.states) == (["applying", "pending"], ["applying"])


async def test_approve_settles_every_card_for_the_domain(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    other = await make_card(bench, town, session="s2")
    await room.say("sarah", "@claude approve pypi.org 1h")
    assert (card.state, other.state, len(grants(bench))) == ("applying", "applying", 1)


async def test_a_name_that_can_not_be_opened_is_refused_with_its_reason_and_the_rest_is_done(
    room: Room, card: Card, bench: Bench
) -> None:
    said = await room.answer("sarah", "@claude approve 10.0.0.1 pypi.org")
    assert "`10.0.0.1` can't be opened" in said
    assert card.state == "applying"


async def test_a_set_opens_what_belongs_together(room: Room, card: Card, bench: Bench) -> None:
    await room.say("sarah", "@claude approve python")
    assert sorted(domain for domain, _, _ in grants(bench)) == ["files.pythonhosted.org", "pypi.org"]
    assert card.state == "applying"


async def test_a_set_for_an_hour(room: Room, card: Card, bench: Bench) -> None:
    await room.say("sarah", "@claude approve python 1h")
    assert {scope for _, scope, _ in grants(bench)} == {"hour"}


async def test_what_nobody_asked_for_is_asked_and_decided_by_the_same_person_on_a_card(
    room: Room, bench: Bench, town: Town
) -> None:
    await room.say("sarah", "@claude approve example.com")
    [request] = data(bench).asked("example.com")
    card = await card_of(bench, town, request.request_id)
    await card.shows("`example.com`", "@sarah")
    known = data(bench).cards[card.card_id]
    assert (known.user_name, request.user_name, request.via) == ("sarah", "sarah", "command")
    await opened(bench, "example.com")
    await card.shows("✅ `example.com` approved by @sarah")


async def test_what_nobody_asked_for_is_refused_where_nobody_decides_about_their_own(
    room: Room, bench: Bench, town: Town
) -> None:
    await configure(bench, approve_own=False, sets=(PYTHON,))
    await room.silence("sarah", "@claude approve example.com python")
    await hears(town, "sarah", "nobody decides about their own request")
    assert (grants(bench), data(bench).requests) == ([], {})


async def test_what_is_open_for_good_is_not_opened_once_more(room: Room, card: Card, bench: Bench) -> None:
    await room.say("sarah", "@claude approve pypi.org")
    await opened(bench)
    assert "`pypi.org` is open already" in await room.answer("james", "@claude approve pypi.org")
    assert len(grants(bench)) == 1


async def test_what_another_is_just_opening_is_not_decided_again_and_who_was_first_is_told_alone(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    await card.press("james")
    await room.silence("sarah", "@claude approve pypi.org")
    await hears(town, "sarah", "`pypi.org` is already approved by @james; the firewall is being changed.")
    assert grants(bench) == [("pypi.org", "", "james")]


async def test_a_domain_that_was_denied_is_opened_after_all_when_a_person_says_so(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    await card.press("sarah", "deny")
    await quiet(bench)
    posts = len(town.ours())
    await room.silence("james", "@claude approve pypi.org")
    assert (card.state, grants(bench)) == ("applying", [("pypi.org", "", "james")])
    await opened(bench)
    await card.shows("✅ `pypi.org` approved by @james")
    assert len(town.ours()) == posts
    assert heard(bench) == ["network.denied", "network.approved"]


async def test_a_denied_domain_asked_for_again_needs_no_new_card(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    await card.press("sarah", "deny")
    await quiet(bench)
    again = NetworkRequested("s1", town.channel, (Ask("r-again", "pypi.org"),))
    await bench.engine.happen(ALIAS_STREAM, again)
    await quiet(bench)
    assert "denied by @sarah in this session" in town.messages()[-1]
    assert len(bench.engine.recorded("card.posted")) == 1
    assert heard(bench) == ["network.denied", "network.denied"]
    other = await make_card(bench, town, session="s2")
    assert other.state == "pending"


# --- deny -----------------------------------------------------------------------------------------------------------------


async def test_deny_with_a_reason_reaches_the_agent_with_it(room: Room, card: Card, bench: Bench) -> None:
    await room.silence("sarah", "@claude deny pypi.org use the mirror instead")
    assert card.state == "denied"
    await card.shows("❌ `pypi.org` denied by @sarah", "use the mirror instead")
    [denied] = bench.engine.recorded("network.denied", "session:s1")
    assert denied.event.reason == "use the mirror instead"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("minutes", "counts"), [(0, True), (5, True), (5.01, False), (60, False)])
async def test_a_reason_may_follow_a_pressed_deny_for_five_minutes(
    start_bench, town: Town, minutes: float, counts: bool
) -> None:
    bench = await start_bench(clock=ManualClock())
    await bench.listen()
    card = await make_card(bench, town)
    await card.press("sarah", "deny")
    await bench.engine.clock.pass_s(minutes * 60)
    room = Room(bench, town)
    if counts:
        await room.silence("sarah", "@claude deny pypi.org use the mirror")
        await card.shows("denied by @sarah: `use the mirror`")
    else:
        assert "Nobody asks for `pypi.org` here now" in await room.answer(
            "sarah", "@claude deny pypi.org use the mirror"
        )
        assert "mirror" not in card.text
    reasons = [one.event.reason for one in bench.engine.recorded("network.denied", "session:s1")]  # type: ignore[attr-defined]
    assert reasons == (["", "use the mirror"] if counts else [""])


@pytest.mark.parametrize("via", ["button", "reaction", "command"])
async def test_a_reason_may_follow_whatever_way_it_was_denied(
    room: Room, card: Card, bench: Bench, town: Town, via: str
) -> None:
    if via == "button":
        await card.press("sarah", "deny")
    elif via == "reaction":
        await town.react("sarah", card.post_id, NO)
    else:
        await room.say("sarah", "@claude deny pypi.org")
    await until(lambda: card.state == "denied")
    await room.silence("sarah", "@claude deny pypi.org use the mirror")
    await card.shows("denied by @sarah: `use the mirror`")


async def test_another_persons_reason_is_shown_as_theirs(room: Room, card: Card, bench: Bench) -> None:
    await card.press("sarah", "deny")
    await room.silence("james", "@claude deny pypi.org use the mirror")
    await card.shows("denied by @sarah: `use the mirror (@james)`")


async def test_a_reason_that_is_there_stays(room: Room, card: Card, bench: Bench) -> None:
    await room.say("sarah", "@claude deny pypi.org use the mirror")
    await room.answer("sarah", "@claude deny pypi.org or not at all")
    await card.shows("use the mirror")
    assert "or not at all" not in card.text
    assert heard(bench) == ["network.denied"]


async def test_deny_of_what_another_approved_hears_alone_who_was_first(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    await card.press("james")
    assert "revoke pypi.org" in await room.answer("sarah", "@claude deny pypi.org too much")
    await hears(town, "sarah", "already approved by @james")
    assert card.state == "applying"


async def test_deny_of_what_nobody_asks_for_says_so(room: Room, bench: Bench) -> None:
    assert "Nobody asks for `example.com`" in await room.answer("sarah", "@claude deny example.com")
    assert "Nobody asks for `python`" in await room.answer("sarah", "@claude deny python")


async def test_deny_of_a_set_denies_what_was_asked_for_of_it(room: Room, card: Card, bench: Bench) -> None:
    await room.silence("sarah", "@claude deny python")
    assert card.state == "denied"


async def test_in_another_channel_a_request_is_not_denied_by_its_name(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    aside = await town.make_channel("aside", "sarah")
    assert "Nobody asks for `pypi.org` here" in await room.answer(
        "sarah", "@claude deny pypi.org", channel=aside
    )
    assert (card.state, town.told("sarah")) == ("pending", [])


# --- revoke ---------------------------------------------------------------------------------------------------------------


async def test_revoke_takes_it_back_and_says_so_when_it_is_out(room: Room, card: Card, bench: Bench) -> None:
    await card.press("sarah")
    await opened(bench)
    said = await room.answer("james", "@claude revoke pypi.org")
    assert "`pypi.org` is closed, revoked by @james" in said
    assert "Connections that are open now may persist" in said
    assert (grants(bench), bench.firewall.content) == ([], [])
    await card.shows("but is not any more: it was taken back")


async def test_revoke_of_a_set_takes_back_what_is_open_of_it(room: Room, card: Card, bench: Bench) -> None:
    await card.press("sarah")
    await opened(bench)
    assert "`pypi.org` is closed" in await room.answer("james", "@claude revoke python")
    assert "`python` is not open" in await room.answer("james", "@claude revoke python")


async def test_revoke_by_somebody_who_may_not_is_answered_alone(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    await card.press("sarah")
    await opened(bench)
    await configure(bench, approvers=("sarah",))
    await room.silence("james", "@claude revoke pypi.org")
    await hears(town, "james", "You can't decide", "@sarah")
    assert len(grants(bench)) == 1


# --- net, pending ---------------------------------------------------------------------------------------------------------


async def test_net_lists_what_is_open_by_whom_and_until_when(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    assert await room.answer("james", "@claude net") == "Nothing is open by a decision."
    await card.press("sarah")
    hourly = await make_card(bench, town, "example.com")
    await hourly.press("james", "hour")
    await opened(bench, "example.com")
    lines = (await room.answer("james", "@claude net")).splitlines()
    assert lines[2] == "- `pypi.org` until it is revoked, by @sarah"
    assert re.fullmatch(r"- `example\.com` until 20\d\d-\d\d-\d\d \d\d:\d\d UTC, by @james", lines[1])


async def test_pending_lists_the_open_cards_with_links(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    other = await make_card(bench, town, "example.com", "example.org", session="s2", title="acme/other")
    await other.press("sarah", "deny", 0)
    said = await room.answer("james", "@claude pending")
    lines = said.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["- `pypi.org`", "- `example.org`"]
    for line, one in zip(lines[1:], (card, other), strict=True):
        assert f"{town.peer.url}/_redirect/pl/{one.post_id})" in line
    await card.press("sarah")
    await other.press("sarah", "deny", 1)
    assert await room.answer("james", "@claude pending") == "Nothing waits for a decision."


async def test_pending_and_net_name_nothing_of_another_channel(
    room: Room, card: Card, bench: Bench, town: Town
) -> None:
    town.make_user("kim", member=False)
    aside = await town.make_channel("aside", "kim")
    theirs = await make_card(
        bench, town, "secret.example.com", channel=aside, session="s2", title="acme/secret"
    )
    await (await make_card(bench, town, "example.com", channel=aside, session="s2")).press("kim")
    await opened(bench, "example.com")
    pending = await room.answer("james", "@claude pending")
    assert "secret" not in pending
    assert theirs.post_id not in pending
    net = await room.answer("james", "@claude net")
    assert "- `example.com` until it is revoked, by somebody in another channel" in net
    assert "kim" not in net


# --- while approvals are closed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["approve pypi.org", "deny pypi.org no", "revoke pypi.org", "net", "pending", "approve python 1h"]
)
async def test_while_the_alias_is_quarantined_every_command_says_that_nothing_is_decided(
    room: Room, card: Card, bench: Bench, text: str
) -> None:
    await bench.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    assert "Approvals are closed" in await room.answer("sarah", f"@claude {text}")
    assert (card.state, grants(bench)) == ("pending", [])
    assert bench.engine.issued("alias.write") == []


# --- while nobody listens -------------------------------------------------------------------------------------------------


async def test_a_command_written_while_the_service_was_stopped_decides_at_the_next_start(
    start_bench, town: Town, path
) -> None:
    bench = await start_bench(path)
    await bench.listen()
    card = await make_card(bench, town)
    await bench.stop()
    await bench.engine.crash()
    await town.write("sarah", "@claude deny pypi.org use the mirror")
    await town.write("james", "@claude approve pypi.org")
    again = await start_bench(path)
    await again.listen()
    await until(lambda: len(decisions(again)) == 2)
    request = data(again).requests[card.request_id]
    assert (request.state, request.user_name) == ("applying", "james")


@pytest.mark.parametrize("policy", [Policy(), Policy(strong=True)], ids=["as usual", "in strong mode"])
async def test_when_no_callback_reaches_the_service_reaction_and_command_decide(
    bench: Bench, town: Town, policy: Policy
) -> None:
    await configure(bench, strong=policy.strong)
    await bench.listen()
    first, second = await make_card(bench, town), await make_card(bench, town, "example.com")
    await bench.web.stop()
    assert await town.press("sarah", first.post_id, first.buttons()[0]["id"]) == 400
    await town.react("sarah", first.post_id, YES)
    await town.write("sarah", "@claude deny example.com")
    await until(lambda: (first.state, second.state) == ("applying", "denied"))
