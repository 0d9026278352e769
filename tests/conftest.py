"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schema_kit
from hypothesis import HealthCheck, settings

from sm.core.commands import COMMANDS
from sm.core.events import EVENTS
from sm.journal.codec import Codec

# How fast an example is made or run says nothing on a machine that does other work, too.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def whatever_is_written_fits_its_schema() -> Iterator[None]:
    """Each event and command that a test has written, in this process, is held against its file in `schemas/`."""
    folders = dict.fromkeys(EVENTS.values(), "events") | dict.fromkeys(COMMANDS.values(), "commands")
    plain = Codec.encode

    def checked(codec: Codec, value: object) -> tuple[str, int, str]:
        kind, version, payload = plain(codec, value)
        if folder := folders.get(type(value)):
            schema_kit.check(folder, kind, version, payload)
        return kind, version, payload

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Codec, "encode", checked)
        yield
