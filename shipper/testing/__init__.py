"""For authors of plugins and for our own tests: drivers, contract checks and fakes. Public and kept stable."""

from shipper.testing.checks import check_filter, check_input, check_output, delivered
from shipper.testing.clock import FakeClock
from shipper.testing.drive import drive
from shipper.testing.fakes import FakeOutput
from shipper.testing.filters import filtered

__all__ = ["FakeClock", "FakeOutput", "check_filter", "check_input", "check_output", "delivered", "drive", "filtered"]
