"""What is known of a VM."""

from __future__ import annotations

from sm.core.events.registry import Event, event


@event("vm.host_key_seen")
class HostKeySeen(Event):
    """The first host key that this VM showed; from here on no other is accepted. `channel_id`: where to say so."""

    host: str
    public_key: str
    fingerprint: str
    channel_id: str = ""
