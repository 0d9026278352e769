"""What is said of requests, decisions and the alias, beside the cards: answers, what changed, what is open."""

from __future__ import annotations

from collections.abc import Callable

from sm.core import domains
from sm.engine.wording.outcomes import behind, ending, tried, when
from sm.engine.wording.phrases import Facts, code, line, listed

MAX_NAMED = 5  # hosts of one card
LEADS_WRONG = frozenset({"not_global", "is_peer"})  # the hint of these is the address


def _when(text: str) -> str:
    return when(int(text))


# --- decisions ------------------------------------------------------------------------------------------------------


def _domain_refused(facts: Facts) -> str:
    if facts["code"] in LEADS_WRONG:
        advice = domains.advice(facts["code"]) + behind(facts["hint"])
    else:
        advice = domains.advice(facts["code"], facts["hint"])
    if facts.get("by"):
        return f"🔒 {code(facts['domain'])} can't be opened: {advice}."
    if not facts["domain"]:
        return f"🔒 The agent asked for a host and named none: {advice}."
    return f"🔒 The agent asked for {code(facts['domain'])}, which can't be opened: {advice}."


def _asked_again(facts: Facts) -> str:
    who = f" by @{facts['user']}" if facts["user"] else ""
    return (
        f"🔒 The agent asked again for `{facts['domain']}`, which was denied{who} in this session. "
        f"`@{facts['bot']} approve {facts['domain']}` opens it."
    )


def _card_waits(facts: Facts) -> str:
    names = listed(facts["domains"].split(), MAX_NAMED)
    link = f"[its card]({facts['link']}{facts['post']})" if facts["post"] else "its card"
    waits = "wait" if len(facts["domains"].split()) > 1 else "waits"
    return f"⏳ {names} still {waits} for a decision on {link}. From {_when(facts['expires_ms'])} on it stays closed."


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
    who = ", ".join(f"@{name}" for name in facts["who"].split())
    match facts["code"]:
        case "own":
            can = f" ({who} can)" if who else ""
            return f"Another person has to decide{can}: you started this session. Nothing was changed."
        case "own_unasked":
            return (
                "No agent asked for it, and nobody decides about their own request here. Nothing was changed."
            )
        case "not_member":
            return "Only people who are members of this channel can decide. Nothing was changed."
        case _:
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
            return f"`{facts['domain']}` was approved{who}, but is not any more. Nothing was changed."


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
    return f"⚠️ `{facts['domain']}` is revoked, but still open: {tried(facts['code'])}. I try again every few minutes."


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
    return f"❌ The alias `{facts['alias']}` can't work: {tried(facts['code'])}. Nothing is opened or closed until it does."


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
        said.append(f"⚠️ The alias is not as it should be: {tried(facts['trouble'])}.")
    return "\n".join(said)


def _grant(fields: list[str]) -> str:
    domain, state, scope, until_ms, user, session, reason = fields
    who = f"@{user}" if user else "somebody in another channel"
    whose = f"session `{session}`" if session else "one session"
    until = {"session": f"for {whose}", "hour": f"until {when(int(until_ms))}"}.get(
        scope, "until it is revoked"
    )
    if state == "closing":
        return f"- `{domain}` is not allowed any more, but not out of the alias yet"
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
    shown = listed(names.split(), MAX_NAMED)
    where = f"[its card]({link}{post})" if post else "its card is on its way"
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
