"""The words of cards and decisions: what is asked for, what was decided, what the firewall did with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sm.core import domains, streams
from sm.core.commands import CardRow, CardView
from sm.engine.wording.phrases import Facts, code, counted, line

MAX_ADDRESSES = 6  # named on a card, of one name
MAX_SHARES = 5
MAX_REASON = 300


def when(time_ms: int) -> str:
    """A time for people."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _when(text: str) -> str:
    return when(int(text))


# --- a card ---------------------------------------------------------------------------------------------------------


def card(view: CardView) -> str:
    """A card's text: a line for each domain, and as long as it asks, what one should know to decide."""
    rows = [_row(row) for row in view.rows]
    if any(row.state == "pending" for row in view.rows):
        rows += _context(view)
    return "\n".join(rows)


def _row(row: CardRow) -> str:
    shown = f"`{row.domain}`"
    who = f"by @{row.user_name}" if row.user_name else "in another channel"
    match row.state:
        case "pending":
            return f"🔒 **Network Request:** {shown}"
        case "applying":
            chose = (
                f"@{row.user_name} chose {_choice(row)}" if row.user_name else "approved in another channel"
            )
            return f"⏳ **Network Request:** {shown}: {chose}, changing the firewall..."
        case "approved":
            return f"✅ {shown} approved {who}{_until(row)}{_effect(row)}"
        case "failed":
            return f"⚠️ {shown} was approved {who}, but is not open: {failure(row.detail)}"
        case "denied" if row.via:
            said = f": {code(row.detail, MAX_REASON)}" if row.detail else ""
            return f"❌ {shown} denied {who}{said}"
        case "denied":
            return f"❌ {shown} can't be opened: {_rule(row.detail)}."
        case "expired":
            return f"⌛ {shown}: nobody answered in time, so it stays closed. The agent can ask again."
        case "superseded":
            return f"➖ {shown}: the session is over. Nothing was opened."
        case _:
            return f"🔒 {shown} was approved {who} and is closed again: {ending(row.detail)}."


def _choice(row: CardRow) -> str:
    return {"session": "This session", "hour": "1 hour"}.get(row.scope, "Approve")


def _until(row: CardRow) -> str:
    if row.until_ms:
        return f" until {when(row.until_ms)}"
    return " for this session" if row.scope == "session" else ""


def _effect(row: CardRow) -> str:
    unseen = "\nThe firewall's table could not be read, so its effect is not confirmed."
    reach = {
        "unreachable": "\nNot reachable yet: the agent was told to try again in a minute.",
        "unknown": "\nWhether it can be reached could not be tried; the agent was told to try in a minute.",
    }.get(row.reach, "")
    return (unseen if row.detail == "unknown" else "") + reach


def _rule(detail: str) -> str:
    word, _, address = detail.partition(" ")
    return domains.advice(word) + (f" ({code(address)})" if address else "")


def ending(detail: str) -> str:
    """Why a grant ended, from its code and perhaps an address behind it."""
    word, _, address = detail.partition(" ")
    said = _ENDINGS.get(word, word)
    return f"{said} ({code(address)})" if address else said


_ENDINGS = {
    "revoked": "it was taken back",
    "expired": "its time is over",
    "session_over": "the session is over",
    "taken_out": "somebody took it out at the firewall",
    "not_global": "it leads to an address that is not public",
    "is_peer": "it leads to an address of this system",
    "rejected": "OPNsense does not take this name",
}


def failure(detail: str) -> str:
    """Why what was approved is not open, and what to do."""
    return FAILURES.get(detail, f"{code(detail)}. Press Retry.")


FAILURES = {
    "unseen": "OPNsense saved it, but its table shows no new address. Press Retry in a minute.",
    "unresolved": "the name has no address now, or the resolver does not answer. Press Retry in a minute.",
    "alias_missing": "OPNsense has no alias of that name. Make it, then press Retry.",
    "alias_disabled": "the alias is disabled in OPNsense. Enable it, then press Retry.",
    "alias_wrong_type": "the alias is not of the type Host(s). Mend it, then press Retry.",
    "unauthorized": "OPNsense does not know our API key. Mend SM_OPNSENSE_KEY, then press Retry.",
    "forbidden": "our API user lacks the privilege Firewall: Alias: Edit. Grant it, then press Retry.",
    "rejected": "OPNsense does not accept the name.",
    "certificate": "its certificate is not trusted. Mend SM_OPNSENSE_FINGERPRINT or SM_CA_FILE, then press Retry.",
    "no_endpoint": "there is no OPNsense at SM_OPNSENSE_URL. Mend it, then press Retry.",
    "quarantined": "the firewall is not changed until an operator has looked at the journal.",
}


def _context(view: CardView) -> list[str]:
    said = [f"Session `{streams.short(view.session_id)}` on **{view.title}**, started by @{view.user_name}."]
    if view.doing:
        said.append(f"The agent was at: {code(view.doing, 300)}")
    for row in view.rows:
        if row.state == "pending":
            said += _about(row, several=len(view.rows) > 1)
    said.append(
        "What you open is open for every session on the VM: **Approve** until it is revoked, **This session** until this "
        "one is over, **1 hour** for an hour."
    )
    if view.expires_ms:
        said.append(f"Without an answer it stays closed, from {when(view.expires_ms)} on.")
    return said


def _about(row: CardRow, *, several: bool) -> list[str]:
    name = f"`{row.domain}`: " if several else ""
    it = "" if several else "It "
    said: list[str] = []
    if row.reason:
        said.append(f"{name}{'the' if several else 'The'} agent's own words: {code(row.reason)}")
    if row.warning:
        shown = f": {code(row.shown)}" if row.shown else ""
        said.append(f"⚠️ {name}{domains.caution(row.warning)}{shown}")
    said.append(f"{name}{it}{_addresses(row)}")
    if row.shares:
        said.append(
            f"{name}{it}shares an address with what is open already: {_listed(row.shares, MAX_SHARES)}"
        )
    return said


def _addresses(row: CardRow) -> str:
    if row.addresses:
        return f"leads to {_listed(row.addresses, MAX_ADDRESSES)} now."
    if row.status == "none":
        return "has no address now, so it can't be opened yet."
    return "leads to unknown addresses: the resolver does not answer."


def _listed(names: Iterable[str], limit: int) -> str:
    every = list(names)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(f"`{name}`" for name in every[:limit]) + more


# --- decisions ------------------------------------------------------------------------------------------------------


def _domain_refused(facts: Facts) -> str:
    advice = domains.advice(facts["code"], facts["hint"])
    if facts.get("by"):
        return f"🔒 {code(facts['domain'])} can't be opened: {advice}."
    if not facts["domain"]:
        return f"🔒 The agent asked for a host and named none: {advice}."
    return f"🔒 The agent asked for `{facts['domain']}`, which can't be opened: {advice}."


def _asked_again(facts: Facts) -> str:
    who = f" by @{facts['user']}" if facts["user"] else ""
    return (
        f"🔒 The agent asked again for `{facts['domain']}`, which was denied{who} in this session. "
        f"`@{facts['bot']} approve {facts['domain']}` opens it."
    )


def _card_waits(facts: Facts) -> str:
    names = _listed(facts["domains"].split(), MAX_SHARES)
    link = f"[its card]({facts['link']}{facts['post']})" if facts["post"] else "its card"
    return f"⏳ {names} still waits for a decision on {link}. From {_when(facts['expires_ms'])} on it stays closed."


def _which_session_scope(facts: Facts) -> str:
    return (
        "For which session? Write it in that session's thread, or press **This session** on its card. "
        f"`@{facts['bot']} status` lists the sessions."
    )


def _already_open(facts: Facts) -> str:
    return f"`{facts['domain']}` is open already. `@{facts['bot']} net` lists what is."


def _nothing_to_deny(facts: Facts) -> str:
    return (
        f"Nobody asks for `{facts['domain']}` here now. `@{facts['bot']} pending` lists what waits, "
        f"`@{facts['bot']} revoke {facts['domain']}` closes what is open."
    )


def _may_not_decide(facts: Facts) -> str:
    match facts["code"]:
        case "own":
            return "Another person has to decide: you started this session. Nothing was changed."
        case "own_unasked":
            return (
                "No agent asked for it, and nobody decides about their own request here. Nothing was changed."
            )
        case "not_member":
            return "Only people who are members of this channel can decide. Nothing was changed."
        case _:
            who = ", ".join(f"@{name}" for name in facts["who"].split())
            return f"You can't decide about the network here. Ask {who}. Nothing was changed."


def _use_strong(facts: Facts) -> str:
    return (
        "A button alone does not decide here. React to the card with ✅ or ❌, or write "
        f"`@{facts['bot']} approve HOST` (`1h` or `session` behind it) or `@{facts['bot']} deny HOST`."
    )


def _too_late(facts: Facts) -> str:
    who = f" by @{facts['user']}" if facts["user"] else ""
    match facts["state"]:
        case "applying":
            return f"`{facts['domain']}` is already approved{who}; the firewall is being changed."
        case "approved":
            return f"`{facts['domain']}` is already approved{who}."
        case "denied":
            return f"`{facts['domain']}` is already denied{who}."
        case "failed":
            return f"`{facts['domain']}` was approved{who}, but is not open. Press Retry on the card."
        case "expired":
            return f"Too late for `{facts['domain']}`: nobody answered in time. The agent can ask again."
        case "superseded":
            return f"Too late for `{facts['domain']}`: the session is over. Nothing was changed."
        case _:
            return f"`{facts['domain']}` was approved{who} and is closed again. Nothing was changed."


def _approvals_closed(_: Facts) -> str:
    return (
        "❌ Approvals are closed: what the journal holds of the firewall could not be taken in. Nothing was changed. "
        "Ask an operator to look at it with `sm-replay`."
    )


# --- what is open -----------------------------------------------------------------------------------------------------


def _revoked(facts: Facts) -> str:
    unseen = (
        " The firewall's table does not show it yet: it may stay reachable for some minutes."
        if facts["resolved"] != "seen"
        else ""
    )
    return f"✅ `{facts['domain']}` is closed, revoked by @{facts['user']}.{unseen} Connections that are open now may persist."


def _revoke_failed(facts: Facts) -> str:
    return f"⚠️ `{facts['domain']}` is revoked, but still open: {_tried(facts['code'])}. I try again every few minutes."


def _tried(word: str) -> str:
    return failure(word).split(". ")[0].rstrip(".")


def _revoked_but_foreign(facts: Facts) -> str:
    head = "is revoked, but remains open" if facts["granted"] else "was not opened by me, and remains open"
    return (
        f"⚠️ `{facts['domain']}` {head}: it stood in the alias before, or an administrator put it there. "
        "Take it out in OPNsense (Firewall, Aliases)."
    )


def _not_granted(facts: Facts) -> str:
    return f"`{facts['domain']}` is not open by a decision here. `@{facts['bot']} net` lists what is."


def _withdrawn(facts: Facts) -> str:
    why = ending(f"{facts['reason']} {facts['address']}".strip())
    stays = " It stood in the alias before us, so it remains open there." if facts["stays"] else ""
    return (
        f"⚠️ `{facts['domain']}` is withdrawn: {why}.{stays} "
        f"It needs a new decision: `@{facts['bot']} approve {facts['domain']}`."
    )


def _alias_foreign(facts: Facts) -> str:
    names = facts["entries"].splitlines()
    more = f" and {facts['more']} more" if facts["more"] else ""
    shown = ", ".join(code(name) for name in names)
    return f"ℹ️ Somebody put into the alias `{facts['alias']}` what nobody approved here: {shown}{more}. I leave it there."


def _alias_troubled(facts: Facts) -> str:
    return f"❌ The alias `{facts['alias']}` can't work: {_tried(facts['code'])}. Nothing is opened or closed until it does."


def _alias_well(facts: Facts) -> str:
    return f"✅ The alias `{facts['alias']}` works again."


def _table_odd(facts: Facts) -> str:
    why = ending(f"{facts['reason']} {facts['address']}")
    return f"⚠️ The firewall's table lets through what it should not, and I can't tell which name it comes from: {why}."


def _net(facts: Facts) -> str:
    rows = [_grant(text.split("\t")) for text in facts["grants"].splitlines()]
    foreign = [code(entry) for entry in facts["foreign"].splitlines()]
    head = "Open by a decision:" if rows else "Nothing is open by a decision."
    said = [head, *rows]
    if foreign:
        said.append(f"In the alias `{facts['alias']}` besides: {', '.join(foreign)}")
    if facts["more"] != "0":
        said.append(f"… and {facts['more']} more")
    if facts["trouble"]:
        said.append(f"⚠️ The alias is not as it should be: {_tried(facts['trouble'])}.")
    return "\n".join(said)


def _grant(fields: list[str]) -> str:
    domain, state, scope, until_ms, user, session, reason = fields
    who = f"@{user}" if user else "another channel"
    until = {"session": f"for session `{session}`", "hour": f"until {when(int(until_ms))}"}.get(
        scope, "until it is revoked"
    )
    if state == "withdrawn":
        return f"- `{domain}` withdrawn: {ending(reason)} (was approved by {who})"
    waits = ", not open yet" if state == "wanted" else ""
    return f"- `{domain}` {until}, by {who}{waits}"


def _pending(facts: Facts) -> str:
    rows = [_waiting(text.split("\t"), facts["link"]) for text in facts["cards"].splitlines()]
    if facts["more"] != "0":
        rows.append(f"… and {facts['more']} more")
    return "\n".join(["Waiting for a decision:", *rows]) if rows else "Nothing waits for a decision."


def _waiting(fields: list[str], link: str) -> str:
    post, names, title, session, expires_ms = fields
    shown = _listed(names.split(), MAX_SHARES)
    where = f"[{counted(len(names.split()), 'host', 'hosts')}]({link}{post})" if post else "on its way"
    until = f", until {when(int(expires_ms))}" if expires_ms != "0" else ""
    return f"- {shown}: {where}, for session `{session}` on **{line(title)}**{until}"


NETWORK_MESSAGES: dict[str, Callable[[Facts], str]] = {
    "domain_refused": _domain_refused,
    "asked_again": _asked_again,
    "card_waits": _card_waits,
    "which_session_scope": _which_session_scope,
    "already_open": _already_open,
    "nothing_to_deny": _nothing_to_deny,
    "may_not_decide": _may_not_decide,
    "use_strong": _use_strong,
    "too_late": _too_late,
    "approvals_closed": _approvals_closed,
    "revoked": _revoked,
    "revoke_failed": _revoke_failed,
    "revoked_but_foreign": _revoked_but_foreign,
    "not_granted": _not_granted,
    "withdrawn": _withdrawn,
    "alias_foreign": _alias_foreign,
    "alias_troubled": _alias_troubled,
    "alias_well": _alias_well,
    "table_odd": _table_odd,
    "net": _net,
    "pending": _pending,
}
