"""The choices of a card: which buttons stand on it, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from sm.core.commands import CardRow, CardView
from sm.engine.wording.phrases import counted

MAX_NAMED = 4  # hosts of a set that its button names


@frozen
class Choice:
    """One button: what it does to which request, its name and its style in Mattermost."""

    action: str
    request_id: str
    name: str
    style: str


def choices(view: CardView) -> Iterator[tuple[str, tuple[Choice, ...]]]:
    """The rows of buttons, each with the text that stands before them."""
    several = len(view.rows) > 1
    for row in view.rows:
        buttons = tuple(_of_row(row))
        if buttons:
            yield (f"`{row.domain}`" if several else ""), buttons
    for offer in view.offers:
        named = ", ".join(offer.domains[:MAX_NAMED])
        more = f" and {len(offer.domains) - MAX_NAMED} more" if len(offer.domains) > MAX_NAMED else ""
        name = f"✅ Approve all of {offer.name}: {named}{more}"
        yield "", (Choice("set", f"set:{offer.name}", name, "default"),)


def _of_row(row: CardRow) -> Iterable[Choice]:
    match row.state:
        case "pending":
            return (
                Choice("approve", row.request_id, "✅ Approve", "primary"),
                Choice("session", row.request_id, "This session", "default"),
                Choice("hour", row.request_id, "1 hour", "default"),
                Choice("deny", row.request_id, "❌ Deny", "danger"),
            )
        case "failed":
            return (
                Choice("retry", row.request_id, "🔁 Retry", "primary"),
                Choice("deny", row.request_id, "❌ Deny", "danger"),
            )
        case _:
            return ()


def without_buttons(count: int) -> str:
    """What to do about rows that have no room for buttons."""
    if not count:
        return ""
    rows = counted(count, "more choice has", "more choices have")
    return f"\n{rows} no room for buttons: react with ✅ or ❌ for all of them, or write `approve HOST` or `deny HOST`."
