"""Test folders have no packages; their helpers are found by name. Properties are not timed: machines are shared.

In CI nothing is skipped: what a test needs has to be there.
"""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shipper", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipper")

HERE = Path(__file__).parent
for folder in (HERE.parent, HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

IN_PRINCIPLE = (
    "root may read everything",
    "here everybody may listen on every port",
    "this file system gives no inode back",
)
"""Reasons to skip that hold in CI too: no installation would change them."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not reason.endswith(IN_PRINCIPLE):
            report.outcome, report.longrepr = "failed", f"CI skips nothing: {reason}"
    return report
