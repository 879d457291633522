"""How large a request may be, learned from refusals."""

from __future__ import annotations

import sys

UNKNOWN = sys.maxsize
FIRST, LONGEST = 16, 1024


class RequestSize:
    """The most bytes of events that a destination is believed to take in one request.

    Limits are mostly powers of two: after a refusal the next smaller one is tried, less a sixteenth for what stands
    around the events. A belief that was never tested would outlive its cause, so after `patience` requests of about
    that size one of twice the size is tried; if it is refused, the next test comes twice as late.
    """

    def __init__(self) -> None:
        self.most = UNKNOWN
        self.patience = FIRST
        self._row = 0
        self._testing = False

    def refused(self, size: int) -> None:
        """A request of so many bytes, with more than one event, was too large."""
        if size > self.most:
            return  # it was sent before another one taught us
        self.most = below(size)
        self._row = 0
        if self._testing:
            self.patience = min(self.patience * 2, LONGEST)
            self._testing = False

    def went(self, size: int) -> None:
        """A request of so many bytes was taken."""
        if self.most == UNKNOWN or size * 2 <= self.most:
            return
        self._row += 1
        if self._row >= self.patience:
            self.most *= 2
            self._testing = True
            self._row = self.patience - 1  # while it goes well it grows with each request

    def __repr__(self) -> str:
        return f"RequestSize({'unknown' if self.most == UNKNOWN else self.most})"


def below(size: int) -> int:
    """The largest power of two, less a sixteenth, that is smaller than `size`."""
    power = 1 << size.bit_length()
    while power > 1 and power - power // 16 >= size:
        power >>= 1
    return power - power // 16
