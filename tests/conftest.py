"""Test folders have no packages; their helpers are found by name. Properties are not timed: machines are shared."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("shipper", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipper")

HERE = Path(__file__).parent
for folder in (HERE.parent, HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
