"""The agent's VM: SSH connections with checked host keys, the generation's files, its container, and git."""

from __future__ import annotations

from sm.vm.client import Vm
from sm.vm.model import (
    Appended,
    Ended,
    GenerationStatus,
    HostKey,
    LengthMismatch,
    Line,
    OutputBroken,
    Prepared,
    Started,
    StartSpec,
    VmSettings,
)
from sm.vm.network import Reach

__all__ = [
    "Appended",
    "Ended",
    "GenerationStatus",
    "HostKey",
    "LengthMismatch",
    "Line",
    "OutputBroken",
    "Prepared",
    "Reach",
    "StartSpec",
    "Started",
    "Vm",
    "VmSettings",
]
