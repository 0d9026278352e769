"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How fast an example is made or run says nothing on a machine that does other work, too.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
