"""What Mattermost makes of a post's props: attachments with all their fields, and nobody sees what a button is bound to."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import cast

Json = dict[str, object]

_TEXTS_BEFORE = (
    "fallback", "color", "pretext", "author_name", "author_link", "author_icon", "title", "title_link", "text",
)  # fmt: skip
_TEXTS_AFTER = ("image_url", "thumb_url", "footer", "footer_icon")
_ACTION_KEYS = (
    "type",
    "name",
    "disabled",
    "style",
    "data_source",
    "options",
    "default_option",
    "integration",
)


def objects(value: object) -> list[Json]:
    """The JSON objects of a JSON array; anything else is left out."""
    if not isinstance(value, list):
        return []
    return [cast("Json", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def as_object(value: object) -> Json:
    """The value if it is a JSON object, else an empty one."""
    return cast("Json", value) if isinstance(value, dict) else {}


def normalized_props(props: Mapping[str, object]) -> Json:
    """Props as the server stores them: attachments with every field, each action with an id."""
    stored = dict(props)
    if "attachments" in stored:
        stored["attachments"] = [_attachment(item) for item in objects(stored["attachments"])]
    return stored


def visible_props(props: Mapping[str, object]) -> Json:
    """Props as anybody reads them: no action shows its integration, not even to its own author."""
    shown = dict(props)
    if "attachments" in shown:
        shown["attachments"] = [_without_integrations(item) for item in objects(shown["attachments"])]
    return shown


def find_action(props: Mapping[str, object], action_id: str) -> Json | None:
    """The action with that id that is still bound to an integration, or None."""
    for attachment in objects(props.get("attachments")):
        for action in objects(attachment.get("actions")):
            if action.get("id") == action_id and as_object(action.get("integration")).get("url"):
                return action
    return None


def _attachment(given: Json) -> Json:
    attachment: Json = {"id": 0}
    attachment |= {key: given.get(key) or "" for key in _TEXTS_BEFORE}
    attachment["fields"] = given.get("fields")
    attachment |= {key: given.get(key) or "" for key in _TEXTS_AFTER}
    attachment["ts"] = given.get("ts")
    actions = [_action(item) for item in objects(given.get("actions"))]
    if actions:
        attachment["actions"] = actions
    return attachment


def _action(given: Json) -> Json:
    action: Json = {"id": given.get("id") or secrets.token_hex(13)}
    return action | {key: given[key] for key in _ACTION_KEYS if given.get(key)}


def _without_integrations(attachment: Json) -> Json:
    if "actions" not in attachment:
        return attachment
    actions = [
        {key: value for key, value in action.items() if key != "integration"}
        for action in objects(attachment["actions"])
    ]
    return attachment | {"actions": actions}


def go_json(value: object) -> str:
    """JSON as the server's language writes it: compact, UTF-8, and `<`, `>`, `&` escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
