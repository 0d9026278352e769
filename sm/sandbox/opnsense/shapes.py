"""How OPNsense writes its answers: the bodies of its alias endpoints, as observed, and its PHP's way with JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import parse_qsl

from sm.sandbox.opnsense.store import INTERNAL, TYPES, Alias, Store, Table

MAX_FORM_FIELDS = 1000

_COUNTERS = (
    "eval_nomatch", "eval_match", "in_block_p", "in_block_b", "in_pass_p", "in_pass_b",
    "out_block_p", "out_block_b", "out_pass_p", "out_pass_b",
)  # fmt: skip
_BEFORE_STATISTICS = (
    "enabled", "name", "type", "path_expression", "proto", "interface", "counters", "updatefreq", "content",
    "password", "username", "authtype", "expire", "categories",
)  # fmt: skip


def dump(value: object, *, pretty: bool = False) -> str:
    """JSON as PHP writes it: slashes and all but ASCII escaped, an empty map as a list."""
    text = json.dumps(
        _php(value),
        ensure_ascii=True,
        indent=4 if pretty else None,
        separators=(",", ": " if pretty else ":"),
    )
    return text.replace("/", "\\/")


def _php(value: object) -> object:
    if isinstance(value, Mapping):
        held = cast("Mapping[str, object]", value)
        return {key: _php(inner) for key, inner in held.items()} or []
    if isinstance(value, list):
        return [_php(inner) for inner in cast("list[object]", value)]
    return value


def flat(alias: Alias, table: Table | None) -> dict[str, str]:
    """An alias as `export` has it: text throughout, statistics empty until its table was loaded once."""
    out = {key: alias[key] for key in _BEFORE_STATISTICS}
    out["current_items"] = str(len(table.rows)) if table else ""
    out["last_updated"] = (table.updated or "") if table else ""
    out |= dict.fromkeys(_COUNTERS, "0" if table else "")
    out["description"] = alias["description"]
    return out


def row(alias: Alias, table: Table | None) -> dict[str, object]:
    """An alias as a row of `searchItem`."""
    out: dict[str, object] = {"uuid": alias.uuid}
    for key, value in flat(alias, table).items():
        out[key] = value
        if key == "type":
            out["%type"] = TYPES.get(value, value)
    out["categories_uuid"] = []
    return out


def item(store: Store, alias: Alias | None) -> dict[str, object]:
    """An alias as `getItem` has it: every option of a list with `selected`, every other alias among the content.

    None (an unknown id) still answers a content of the others, and no name.
    """
    if alias is None:
        return {"alias": {"content": _content(store, [])}}
    out: dict[str, object] = dict(flat(alias, store.tables.get(alias.name)))
    out["type"] = _options(TYPES, alias["type"])
    out["proto"] = _options({"IPv4": "IPv4", "IPv6": "IPv6"}, alias["proto"])
    out["interface"] = _options({"": "None", "lan": "LAN", "wan": "WAN"}, alias["interface"])
    out["authtype"] = _options(
        {"": "None", "Basic": "Basic", "Bearer": "Bearer", "Header": "Header"}, alias["authtype"]
    )
    out["content"] = _content(store, alias["content"].split("\n"))
    out["categories"] = []
    return {"alias": out}


def _options(options: Mapping[str, str], chosen: str) -> dict[str, object]:
    return {key: {"value": label, "selected": int(key == chosen)} for key, label in options.items()}


def _content(store: Store, entries: Iterable[str]) -> dict[str, object]:
    out: dict[str, object] = {entry: {"value": entry, "selected": 1} for entry in entries}
    others = {alias.name: alias["description"] for alias in store.aliases.values()} | dict(INTERNAL)
    for name, description in others.items():
        selected = int(name in out)
        out[name] = {"selected": selected, "value": name, "description": description}
    return out


def table_size(store: Store) -> dict[str, object]:
    """The answer of `getTableSize`."""
    details: dict[str, object] = {
        name: {"count": len(table.rows), "updated": table.updated, **dict.fromkeys(_COUNTERS, 0)}
        for name, table in sorted(store.tables.items())
    }
    used = sum(len(table.rows) for table in store.tables.values())
    return {"status": "ok", "size": 1000000, "used": used, "details": details}


def page(
    rows: list[dict[str, object]], asked: Mapping[str, object], *, total_first: bool
) -> dict[str, object]:
    """One page of a search: `rowCount` -1 (or absent) is everything, `current` counts from 1."""
    count, current = _number(asked.get("rowCount"), -1), max(1, _number(asked.get("current"), 1))
    shown = rows if count <= 0 else rows[(current - 1) * count : current * count]
    numbers: dict[str, object] = {"rowCount": len(shown), "total": len(rows), "current": current}
    if total_first:
        return {"total": len(rows), "rowCount": len(shown), "current": current, "rows": shown}
    return {"rows": shown, **numbers}


def _number(value: object, default: int) -> int:
    try:
        return int(str(value)) if value is not None else default
    except ValueError:
        return default


def parse_form(text: str) -> dict[str, object]:
    """A form body as PHP reads it: `alias[content]=x` nests, `ids[]=x` appends.

    Raises `ValueError` for more fields than anybody would send.
    """
    out: dict[str, object] = {}
    for key, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS):
        outer, bracket, inner = key.partition("[")
        if not bracket:
            out[outer] = value
            continue
        name = inner.removesuffix("]")
        held = out.get(outer)
        group = cast("dict[str, object]", held) if isinstance(held, dict) else {}
        group[name or str(len(group))] = value
        out[outer] = group
    return out
