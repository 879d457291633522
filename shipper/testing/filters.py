"""Run a filter on plain events, as the core would."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from shipper.batch import NO_ATTRS, Attrs, Batch, Event
from shipper.component import Filter


def filtered(subject: Filter, events: Iterable[Event], attrs: Attrs = NO_ATTRS) -> list[Event]:
    """What comes out of a filter for these events; those it could not treat are marked."""
    batch = subject.apply(Batch(copy.deepcopy(list(events)), attrs=attrs))
    for event, reason in subject.faults() or ():
        event["shipper_error"] = reason
    return batch.events
