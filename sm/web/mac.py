"""What makes a button ours: an HMAC over the card, the request, the action and the channel.

Mattermost doesn't sign a press, and any member can aim a button of their own at our URL; but nobody can read the
context of a button back (Mattermost 5.37, observed), so what stands in it can prove the card. It doesn't prove
who pressed.
"""

from __future__ import annotations

import hashlib
import hmac

_PURPOSE = "session-manager press 1"


def sign(secret: bytes, *, card_id: str, request_id: str, action: str, channel_id: str) -> str:
    """HMAC-SHA256 in hex. Each field goes in with its length before it, so no two sets of fields look alike."""
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for text in (_PURPOSE, card_id, request_id, action, channel_id):
        part = text.encode("utf-8", "surrogatepass")
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def verify(secret: bytes, mac: str, *, card_id: str, request_id: str, action: str, channel_id: str) -> bool:
    """Whether `mac` is the one of these fields, in a time that does not depend on where it differs."""
    ours = sign(secret, card_id=card_id, request_id=request_id, action=action, channel_id=channel_id)
    return hmac.compare_digest(ours.encode(), mac.encode("utf-8", "surrogatepass"))


def card_context(
    secret: bytes, *, card_id: str, request_id: str, action: str, channel_id: str
) -> dict[str, str]:
    """The `context` of a button's integration. The channel isn't in it: a press brings the one it happened in."""
    mac = sign(secret, card_id=card_id, request_id=request_id, action=action, channel_id=channel_id)
    return {"card_id": card_id, "request_id": request_id, "action": action, "mac": mac}
