"""A card that asks for domains: its text, and which buttons stand on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

from sm.core import domains, streams
from sm.core.commands import CardRow, CardView
from sm.engine.wording.outcomes import behind, ending, failure, when
from sm.engine.wording.phrases import code, counted, line, listed

MAX_ADDRESSES = 6  # named on a card, of one name
MAX_SHARES = 5
MAX_REASON = 300
MAX_ROWS = 9_000  # characters of a post's 16383 for the rows, those that wait aside
MAX_KNOWN = 4_000  # … for what is known of the names
MAX_NAMED = 4  # hosts of a set that its button names
_LETTERS = str.maketrans("-_", "HU")  # a set's name, in lower case, as part of a button's id


def card(view: CardView, *, bot: str = "claude") -> str:
    """A card's text: a line for each domain, and as long as it asks, what one should know to decide."""
    said = _rows(view.rows)
    if waiting := [row for row in view.rows if row.state == "pending"]:
        said += _context(view, waiting, bot)
    return "\n".join(said)


def _rows(rows: Iterable[CardRow]) -> list[str]:
    """A line each. Where there is no room for all, those that are decided give way: what can be approved is named."""
    said: list[str] = []
    left, cut = MAX_ROWS, 0
    for row in rows:
        text = _row(row)
        if row.state != "pending":
            if len(text) > left:
                cut += 1
                continue
            left -= len(text)
        said.append(text)
    return [*said, f"… and {cut} more"] if cut else said


def _row(row: CardRow) -> str:
    shown = f"`{row.domain}`"
    who = f"by @{row.user_name}" if row.user_name else "in another channel"
    match row.state:
        case "pending":
            return f"🔒 **Network Request:** {shown}"
        case "applying":
            return f"⏳ **Network Request:** {shown}: {_chosen(row)}, changing the firewall...{_caution(row)}"
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
            return f"🔒 {shown} was approved {who}, but is not any more: {ending(row.detail)}."


def _chosen(row: CardRow) -> str:
    if not row.user_name:
        return "approved in another channel"
    choice = {"session": "This session", "hour": "1 hour"}.get(row.scope, "Approve")
    return f"@{row.user_name} chose {choice}"


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
    return domains.advice(word) + behind(address)


# --- what one should know to decide -----------------------------------------------------------------------------------


def _context(view: CardView, waiting: list[CardRow], bot: str) -> list[str]:
    said = [
        f"Session `{streams.short(view.session_id)}` on **{line(view.title)}**, started by @{view.user_name}."
    ]
    if view.doing:
        said.append(f"The agent was at: {code(view.doing, 300)}")
    said += _known(waiting, several=len(view.rows) > 1)
    said.append(
        "What you open is open for every session on the VM: **Approve** until it is revoked, **This session** until this "
        "one is over, **1 hour** for an hour."
    )
    said.append(
        f"Instead of a button: ✅ or ❌ on this post{' for all of it' if len(waiting) > 1 else ''}, "
        f"`@{bot} approve HOST` or `@{bot} deny HOST` with your reason behind it."
    )
    if view.expires_ms:
        said.append(f"Without an answer it stays closed, from {when(view.expires_ms)} on.")
    return said


def _known(waiting: list[CardRow], *, several: bool) -> list[str]:
    """Of each name: how it deceives, what the agent says, where it leads. What has no room is counted."""
    lines = [_caution(row).strip() for row in waiting if row.warning]
    lines += _reasons(waiting, several=several)
    for row in waiting:
        subject = f"`{row.domain}`" if several else "It"
        lines.append(f"{subject} {_addresses(row)}")
        if row.shares:
            shared = listed(row.shares, MAX_SHARES)
            lines.append(f"{subject} shares an address with what is open already: {shared}")
    kept: list[str] = []
    left = MAX_KNOWN
    for text in lines:
        if len(text) <= left:
            kept.append(text)
            left -= len(text)
    cut = len(lines) - len(kept)
    return (
        [*kept, f"… and {counted(cut, 'line', 'lines')} more: ask for fewer hosts at once"] if cut else kept
    )


def _caution(row: CardRow) -> str:
    """What deceives in a name, on a line of its own; nothing for none."""
    if not row.warning:
        return ""
    form = f": {code(row.shown)}" if row.shown else ""
    return f"\n⚠️ Look at `{row.domain}`: {domains.caution(row.warning)}{form}"


def _reasons(waiting: list[CardRow], *, several: bool) -> Iterator[str]:
    reasons = {row.reason for row in waiting}
    if len(reasons) == 1:
        if reason := reasons.pop():
            yield f"The agent's own words: {code(reason)}"
        return
    for row in waiting:
        if row.reason:
            name = f" for `{row.domain}`" if several else ""
            yield f"The agent's own words{name}: {code(row.reason)}"


def _addresses(row: CardRow) -> str:
    if row.addresses:
        return f"leads to {listed(row.addresses, MAX_ADDRESSES)} now."
    if row.status == "none":
        return "has no address now, so it can't be opened yet."
    return "leads to unknown addresses: the resolver does not answer."


# --- the choices ------------------------------------------------------------------------------------------------------


@frozen
class Choice:
    """One button: what it does to which request, its name and its style in Mattermost.

    `place` stays the same as long as the card lives: Mattermost finds a pressed button by its id in the post as it is
    by then, and a row whose neighbour was decided meanwhile must not take over that one's.
    """

    action: str
    request_id: str
    name: str
    style: str
    place: str = ""


def choices(view: CardView, *, short: bool = False) -> Iterator[tuple[str, tuple[Choice, ...]]]:
    """The rows of buttons, each with the text that stands before them; `short`: without those that set an end."""
    several = len(view.rows) > 1
    for number, row in enumerate(view.rows):
        buttons = tuple(evolve(one, place=str(number or "")) for one in _of_row(row, short=short))
        if buttons:
            yield (f"`{row.domain}`" if several else ""), buttons
    for offer in view.offers:
        named = ", ".join(offer.domains[:MAX_NAMED])
        more = f" and {len(offer.domains) - MAX_NAMED} more" if len(offer.domains) > MAX_NAMED else ""
        name = f"✅ Approve all of {offer.name}: {named}{more}"
        place = offer.name.translate(_LETTERS)
        all_of_it = listed(offer.domains, len(offer.domains)) if more else ""  # nobody opens what is not seen
        yield all_of_it, (Choice("set", f"set:{offer.name}", name, "default", place),)


def _of_row(row: CardRow, *, short: bool) -> Iterator[Choice]:
    if row.state == "pending":
        yield Choice("approve", row.request_id, "✅ Approve", "primary")
        if not short:
            yield Choice("session", row.request_id, "This session", "default")
            yield Choice("hour", row.request_id, "1 hour", "default")
        yield Choice("deny", row.request_id, "❌ Deny", "danger")
    elif row.state == "failed":
        yield Choice("retry", row.request_id, "🔁 Retry", "primary")
        yield Choice("deny", row.request_id, "❌ Deny", "danger")


def without_buttons(left_out: int, *, bot: str) -> str:
    """What to do where Mattermost has no room for all buttons; `left_out`: how many choices have none."""
    said = f"There is no room for all buttons: `@{bot} approve HOST for this session` or `… for 1 hour` opens it for a time."
    if left_out:
        rows = counted(left_out, "choice has", "choices have")
        said += f" {rows} none at all: write `@{bot} approve NAME` (a host or a set) or `@{bot} deny HOST`."
    return said
