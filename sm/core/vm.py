"""The VM's stream: which host key do we trust?"""

from __future__ import annotations

from typing import cast

from attrs import frozen

from sm.core.commands import Say
from sm.core.events import HostKeySeen
from sm.core.step import Step
from sm.core.tables import VM_MACHINE


@frozen
class VmData:
    """The first host key that was seen."""

    public_key: str = ""
    fingerprint: str = ""


class VmStep(Step[VmData]):
    """One event of a VM."""

    machine = VM_MACHINE

    def trust(self) -> None:
        """The first key is the VM's; a later one is ignored here and refused by whoever connects."""
        event = cast("HostKeySeen", self.event)
        self.data = VmData(event.public_key, event.fingerprint)
        if event.channel_id:
            facts = (("fingerprint", event.fingerprint), ("host", event.host))
            self.issue(Say(event.channel_id, "host_key_trusted", facts))
