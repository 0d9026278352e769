"""The sandbox's OPNsense does what the real controllers were recorded doing, request by request."""

from __future__ import annotations

import pytest
from opnsense_replay import differences
from recorded_kit import RECORDED, Rule

FRESH = {"access", "paths", "reading"}  # recorded before anything was loaded into the packet filter

_WORDS = "what an alias is described as is each installation's own"
DESCRIBED = Rule("*: answer*.description", "value", _WORDS)
LOADED = Rule("*: answer*updated", "value", "when a table was loaded")
ROWS = Rule("*: answer.rows", "order", "the packet filter that was recorded listed rows by their text")
READ_ONLY = Rule("*: answer.errorMessage", "value", "names the user, who is another one here")

RULES = {
    "access": (),
    "paths": (DESCRIBED,),
    "reading": (DESCRIBED,),
    "applying": (DESCRIBED, LOADED),
    "refusals": (READ_ONLY,),
    "addresses": (),
    "resolution": (DESCRIBED, LOADED),
    "reconfigure": (ROWS,),
    "bodies": (),
    "names": (ROWS,),
    "writers": (),
    "daemon": (),
}


@pytest.mark.parametrize("name", RULES)
async def test_each_request_is_answered_as_recorded(name: str) -> None:
    assert await differences(name, RULES[name], fresh=name in FRESH) == []


def test_every_recording_is_replayed() -> None:
    assert {path.stem for path in (RECORDED / "opnsense").glob("*.jsonl")} == set(RULES)
