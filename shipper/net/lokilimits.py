"""What Loki takes: the limits, as options, since every Loki can be told others, and what is over them.

https://grafana.com/docs/loki/latest/configure/#limits_config
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from shipper.options import Duration, Group, Meta, Size
from shipper.text.templates import Template

__all__ = ["Limits", "Unfit", "different_in_each"]

SURE = 10.0
"""Seconds that an event must be too old or too new: what is on the edge Loki decides itself."""


class Limits(Group):
    """What this Loki takes; the defaults are its own. What is over them it would refuse, and so it is never sent."""

    request_bytes: Annotated[
        Size,
        Meta(ge=1, description="A request, unpacked (`grpc_server_max_recv_msg_size`); larger ones are split."),
    ] = Size(4 << 20)
    line_bytes: Annotated[Size, Meta(ge=1, description="A line (`max_line_size`).")] = Size(256 << 10)
    labels: Annotated[int, Meta(ge=1, description="Labels of a stream (`max_label_names_per_series`).")] = 15
    label_name_bytes: Annotated[Size, Meta(ge=1, description="The name of a label (`max_label_name_length`).")] = Size(
        1024
    )
    label_value_bytes: Annotated[Size, Meta(ge=1, description="A label's value (`max_label_value_length`).")] = Size(
        2048
    )
    metadata_entries: Annotated[
        int, Meta(ge=1, description="Entries of structured metadata (`max_structured_metadata_entries_count`).")
    ] = 128
    metadata_bytes: Annotated[
        Size,
        Meta(ge=1, description="Structured metadata of a line, names and values (`max_structured_metadata_size`)."),
    ] = Size(64 << 10)
    age: Annotated[
        Duration | None,
        Meta(gt=0, description="How old an event may be (`reject_old_samples_max_age`); null: of any age."),
    ] = Duration(7 * 86400)
    ahead: Annotated[
        Duration | None,
        Meta(gt=0, description="How far in the future its time may lie (`creation_grace_period`); null: anywhere."),
    ] = Duration(600)

    def long_lines(self, lines: Sequence[str]) -> list[int]:
        """Which lines are too long."""
        most = self.line_bytes
        if max(map(len, lines)) * 4 <= most:
            return []
        return [at for at, line in enumerate(lines) if len(line) * 4 > most and _size(line) > most]

    def odd_times(self, times: Sequence[str], now: float) -> tuple[list[int], str]:
        """Which times (nanoseconds since 1970, in digits) are not taken now, and why."""
        oldest = 0 if self.age is None else max(0, int((now - self.age - SURE) * 1e9))
        latest = 1 << 63 if self.ahead is None else int((now + self.ahead + SURE) * 1e9)
        if set(map(len, times)) == {19} and str(oldest).zfill(19) <= min(times) and max(times) <= str(latest).zfill(19):
            return [], ""  # digits of one length: as text they are in order, too
        if odd := [at for at, digits in enumerate(times) if int(digits) < oldest]:
            return odd, f"the event is older than {self.age} (limits.age)"
        odd = [at for at, digits in enumerate(times) if int(digits) > latest]
        return odd, f"the time of the event is more than {self.ahead} in the future (limits.ahead)"

    def odd_labels(self, labels: Mapping[str, str]) -> str | None:
        """Why a stream with these labels is not taken."""
        if len(labels) > self.labels:
            return f"it has {len(labels)} labels, at most {self.labels} are taken (limits.labels)"
        most = self.label_value_bytes
        for name, value in labels.items():
            if len(value) * 4 > most and _size(value) > most:
                return f"the value of the label {name} is longer than {most} (limits.label_value_bytes)"
        return None

    def odd_metadata(self, rows: Sequence[Mapping[str, str]]) -> tuple[list[int], str]:
        """Which structured metadata are not taken, and why."""
        if odd := [at for at, row in enumerate(rows) if len(row) > self.metadata_entries]:
            return odd, f"it has more than {self.metadata_entries} structured metadata (limits.metadata_entries)"
        most = self.metadata_bytes
        odd = [
            at
            for at, row in enumerate(rows)
            if (sum(map(len, row)) + sum(map(len, row.values()))) * 4 > most
            and sum(map(_size, row)) + sum(map(_size, row.values())) > most
        ]
        return odd, f"its structured metadata is longer than {most} (limits.metadata_bytes)"


class Unfit(Exception):
    """Some events of a batch cannot be sent, and why; which, by their places, where that is known."""

    def __init__(self, reason: str, which: Sequence[int] | None = None) -> None:
        super().__init__(reason)
        self.which = which


_EACH = frozenset({"message", "timestamp", "id", "uuid", "trace_id", "span_id", "request_id", "correlation_id",
                   "session_id", "transaction_id", "traceparent", "offset"})  # fmt: skip


def different_in_each(template: Template) -> Iterable[str]:
    """Fields of a label that hardly two events have in common: each would be a stream of its own."""
    return [str(path) for path in template.fields if path.keys[-1] in _EACH]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
