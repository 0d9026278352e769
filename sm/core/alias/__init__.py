"""The alias's stream: which domains were asked for, who decided, what the firewall holds by our hand.

What is asked for together is a card; a request is (session, domain) with a state of its own, its rows are the table
REQUEST. A decision makes a grant: the wish that the domain be in the alias. The grants are the ledger, and the alias is
made to match it.
"""

from sm.core.alias.data import AliasData, Card, Entry, Grant, Request, is_news, may_not_decide
from sm.core.alias.decisions import DecisionStep as AliasStep
from sm.core.alias.rivals import UNDECIDED, about, lost_to, stands_here, told_of

__all__ = [
    "UNDECIDED",
    "AliasData",
    "AliasStep",
    "Card",
    "Entry",
    "Grant",
    "Request",
    "about",
    "is_news",
    "lost_to",
    "may_not_decide",
    "stands_here",
    "told_of",
]
