"""Answers of a stand-in held against those recorded from the real thing.

Everything is compared: keys, types, values, lengths, order. Three things are translated, not compared as they stand:
an identifier is bound to ours where it first occurs and must be that one ever after; a time in milliseconds must be
one where the real one is (and 0 where it is 0), and times of one object that are equal must be equal; text that is
JSON is compared as JSON. What else may differ is in a list of `Rule`s with the reason, and a rule that nothing needs is a
failure, too.
"""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import Any, Literal

from attrs import define, field, frozen

RECORDED = Path(__file__).parent / "recorded"
MIN_TIME_MS = 1_500_000_000_000

Allowed = Literal["value", "absent", "extra", "order"]


@frozen
class Rule:
    """What may differ at paths like this (`*` for anything).

    `value`: another value of the same type. `absent`: ours may lack it. `extra`: ours may have it. `order`: the same
    items in another order.
    """

    path: str
    allowed: Allowed
    reason: str

    def covers(self, path: str, kind: str) -> bool:
        return self.allowed == kind and fnmatch.fnmatchcase(path, self.path)


@define
class Comparison:
    """Collects the differences between what was recorded and what ours does."""

    rules: tuple[Rule, ...]
    is_id: re.Pattern[str] = field(default=re.compile(r"[a-z0-9]{26}"))
    ids: dict[str, str] = field(factory=dict)
    times: dict[str, str] = field(factory=dict)
    differences: list[str] = field(factory=list)
    used: set[Rule] = field(factory=set)

    def bind(self, recorded: str, ours: str) -> None:
        """Ours stands for the recorded one from now on."""
        self.ids[recorded] = ours

    def translated(self, value: Any) -> Any:
        """A recorded value with the identifiers that are known, and texts that are known times, put into ours."""
        if isinstance(value, dict):
            return {self.translated(key): self.translated(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.translated(item) for item in value]
        if isinstance(value, str):
            if value in self.times:
                return self.times[value]
            return self._token().sub(lambda found: self.ids.get(found.group(), found.group()), value)
        return value

    def compare(self, path: str, recorded: Any, ours: Any) -> None:
        """Note every difference that no rule allows."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            self._objects(path, recorded, ours)
        elif isinstance(recorded, list) and isinstance(ours, list):
            if len(recorded) != len(ours):
                self._differ(path, "value", f"{len(recorded)} items, ours {len(ours)}")
            elif recorded != ours and sorted(map(json.dumps, recorded)) == sorted(map(json.dumps, ours)):
                self._differ(path, "order", "the same items in another order")
                return
            for index, (left, right) in enumerate(zip(recorded, ours, strict=False)):
                self.compare(f"{path}.{index}", left, right)
        elif isinstance(recorded, str) and isinstance(ours, str):
            self._texts(path, recorded, ours)
        elif _is_time(recorded) and _is_time(ours):
            self.times.setdefault(str(recorded), str(ours))
        elif type(recorded) is not type(ours):
            self._differ(path, "type", f"{_short(recorded)}, ours {_short(ours)} of another type")
        elif recorded != ours:
            self._differ(path, "value", f"{_short(recorded)}, ours {_short(ours)}")

    def _objects(self, path: str, recorded: dict[str, Any], ours: dict[str, Any]) -> None:
        left = {self._key(path, key, ours): value for key, value in recorded.items()}
        for key, value in left.items():
            if key not in ours:
                self._differ(f"{path}.{key}", "absent", f"{_short(value)}, ours lacks it")
            else:
                self.compare(f"{path}.{key}", value, ours[key])
        for key, mine in ours.items():
            if key not in left:
                self._differ(f"{path}.{key}", "extra", f"not there, ours has {_short(mine)}")
        times = [key for key in left if _is_time(left[key]) and _is_time(ours.get(key)) and key in ours]
        for index, one in enumerate(times):
            for other in times[index + 1 :]:
                if (left[one] == left[other]) != (ours[one] == ours[other]):
                    self._differ(f"{path}.{one}={other}", "value", "the same time in only one of both")

    def _key(self, path: str, key: str, ours: dict[str, Any]) -> str:
        if not self.is_id.fullmatch(key) or key in self.ids:
            return self.translated(key)
        free = [mine for mine in ours if self.is_id.fullmatch(mine) and mine not in self.ids.values()]
        if len(free) != 1:
            self._differ(f"{path}.{key}", "value", f"an unknown id as a key; ours that may be it: {free}")
            return key
        self.bind(key, free[0])
        return free[0]

    def _texts(self, path: str, recorded: str, ours: str) -> None:
        if self.is_id.fullmatch(recorded) and recorded not in self.ids:
            if self.is_id.fullmatch(ours) and ours not in self.ids.values():
                self.bind(recorded, ours)
            else:
                self._differ(path, "value", f"a new id, ours {_short(ours)}")
            return
        if recorded[:1] in ("{", "[") and (left := _json(recorded)) is not None:
            right = _json(ours)
            if right is not None:
                self.compare(path, left, right)
                return
        if self.translated(recorded) != ours:
            self._differ(path, "value", f"{_short(recorded)}, ours {_short(ours)}")

    def _differ(self, path: str, kind: str, text: str) -> None:
        rule = next((rule for rule in self.rules if rule.covers(path, kind)), None)
        if rule is None:
            self.differences.append(f"{path}: {text}")
        else:
            self.used.add(rule)

    def _token(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9]){self.is_id.pattern}(?![A-Za-z0-9])")

    def result(self) -> list[str]:
        """The differences, and the rules that allowed nothing."""
        idle = [f"this rule allows nothing: {rule}" for rule in self.rules if rule not in self.used]
        return self.differences + idle


def exchanges(name: str) -> list[dict[str, Any]]:
    """A recording without its header line."""
    lines = (RECORDED / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= MIN_TIME_MS


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
