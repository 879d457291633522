"""Reads log files as they grow."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from shipper.batch import Attrs, Send
from shipper.component import Codec, Input
from shipper.files.assembling import Assembler, own
from shipper.files.census import Following
from shipper.files.checkpoints import Positions
from shipper.files.discovery import Discovery
from shipper.files.encodings import canonical
from shipper.files.multiline import Multiline
from shipper.files.overlap import Verdict, finds
from shipper.files.reading import Lines, Reading
from shipper.files.survey import Survey, survey
from shipper.files.tailer import Tailer
from shipper.options import RELATIVE, Duration, Meta, Size, option


class File(Input):
    """Follow log files: every line is an event, with the file's path in `file`.

    Files are found by patterns and followed through whatever rotates them: a renamed file is read to its end, a
    truncated one from its beginning, the copy that `copytruncate` makes is not read twice, a removed one is
    read to its end, and one that was packed is finished where it was left, before the new file of its name. Positions
    are kept, and move when a line was delivered: after a crash no line is missing. `.gz` files are read whole, once,
    and not followed; other packed files are left alone. What was cut is marked with `truncated`, and a last line whose
    file was rotated before it had an end with `unfinished`.

    Links are followed as far as `follow_links` says, others are told once, counted and left alone. Wildcards do not lead
    into Shipper's own data folder, and a file that its own standard output or error go to is not read.
    `shipper files` lists what is read, how far, and why something is not. Several `workers` divide the files: whatever
    rotation makes of a log is read by the same one, which goes by its name (`app.log.1.gz`, `app-20260801.log`) and, for a
    file that is followed already, by the file itself.
    """

    repeatable: ClassVar[bool] = True
    names: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    include: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="Files to read; `*` and `?` stay in one folder, `**` is any number of folders.",
            examples=[["/var/log/app/*.log", "/srv/**/log/*.json"]],
            extra=RELATIVE,
        ),
    ]
    exclude: Annotated[
        list[str],
        Meta(description="Files to leave out whatever includes them; without a leading slash, by the end of the path."),
    ] = option(list)
    follow_links: Annotated[
        list[str],
        Meta(
            description="A link is followed when what it leads to lies below a folder that `include` names in front of its "
            "first wildcard, or below one of these; Kubernetes' two are there by default, and `[/]` allows all.",
            examples=[["/var/log/pods", "/data/docker/containers"]],
            extra=RELATIVE,
        ),
    ] = option(lambda: ["/var/log/pods", "/var/lib/docker/containers"])
    read_from: Annotated[
        Literal["beginning", "end"],
        Meta(description="Where to begin with the files that are there at the very first start."),
    ] = "beginning"
    follow: Annotated[bool, Meta(description="Wait for more; `false` reads what is there and ends.")] = True
    poll_interval: Annotated[
        Duration, Meta(gt=0, description="How often to look for new files; a busy file is read again at once.")
    ] = Duration(1)
    max_line_bytes: Annotated[Size, Meta(ge=1, description="Longest line, without its end.")] = Size(2**20)
    on_long_line: Annotated[
        Literal["split", "truncate", "drop"],
        Meta(description="What becomes of a longer line: several events, its beginning alone, or nothing."),
    ] = "truncate"
    encoding: Annotated[
        str,
        Meta(
            description="How the text is encoded; a byte order mark of any UTF goes before `utf-8`.",
            examples=["utf-8", "utf-16-le", "latin-1", "shift-jis", "gbk"],
        ),
    ] = "utf-8"
    delimiter: Annotated[str, Meta(min_length=1, description="What ends a line; the newline's may be CRLF.")] = "\n"
    ignore_older: Annotated[
        Duration | None,
        Meta(gt=0, description="Leave out files that nobody wrote to for so long and that were never read."),
    ] = None
    rotate_wait: Annotated[
        Duration, Meta(ge=0, description="How long a file that was renamed or removed may still grow.")
    ] = Duration(5)
    multiline: Annotated[
        Multiline | None, Meta(description="Lines that are one event, such as stack traces; joined file by file.")
    ] = None
    codec: Annotated[Codec | None, Meta(description="What the lines are; without one each is a `message`.")] = None

    _positions: Positions | None = None
    _tailer: Tailer | None = None
    _state: Path | None = None

    def check(self) -> Iterable[tuple[str, str]]:
        try:
            name = canonical(self.encoding)
        except LookupError:
            yield "encoding", f"`{self.encoding}` is no encoding that Python knows"
            return
        try:
            self.delimiter.encode(name)
        except UnicodeEncodeError:
            yield "delimiter", f"it cannot be written in {self.encoding}"

    def reads(self, path: str) -> Verdict:
        return finds(Discovery(self.include, self.exclude, lambda path, error: None), path)

    async def open(self) -> None:
        if self._positions is not None and self._state == self.scope.state:
            self._positions.reopen()
            return
        self._state = self.scope.state
        self._positions = Positions(self.scope)
        await self._positions.load()
        following = self._following(self._state)
        exact = self.multiline is not None or own(self.codec) is not None
        self._tailer = Tailer(following, self.scope, self._positions, self._assemble, exact, self._ids)

    def _following(self, state: Path) -> Following:
        return Following(
            include=self.include,
            exclude=self.exclude,
            follow_links=self.follow_links,
            from_end=self.read_from == "end",
            follow=self.follow and not self._once,
            poll_interval=float(self.poll_interval),
            rotate_wait=float(self.rotate_wait),
            ignore_older=None if self.ignore_older is None else float(self.ignore_older),
            reading=Reading(self.delimiter, self.encoding, int(self.max_line_bytes), self.on_long_line),
            own=str(self._data_dir(state)),
        )

    def survey(self, state: Path) -> Survey:
        """For `shipper files`: what is read, how far, and why something is not."""
        return survey(self._following(state), state, self._data_dir(state))

    def _data_dir(self, state: Path) -> Path:
        common = self.scope.common
        return state.absolute().parents[1] if common is None else common.absolute().parent

    async def run(self, send: Send) -> None:
        assert self._tailer is not None, "opened first"
        await self._tailer.run(send.window(self._tailer.commit).submit)

    async def close(self) -> None:
        if self._tailer is not None and self._positions is not None:
            self._tailer.close()
            await self._positions.close()

    def _assemble(self, path: str, lines: Lines) -> Assembler:
        name, clock = os.fsencode(path).decode("utf-8", "replace"), self.scope.clock

        def attrs() -> Attrs:
            return {"file": name, "timestamp": clock.now()}

        stateful = own(self.codec)
        return Assembler(
            lines,
            attrs,
            clock.monotonic,
            codec=None if stateful else self.codec,
            stateful=stateful,
            multiline=self.multiline,
            count=self.scope.count,
        )
