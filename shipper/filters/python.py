"""`python`: a function of the user's."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from shipper import Batch, Event, Filter, Meta
from shipper.batch import ID, NO_ATTRS, copied
from shipper.options import RELATIVE
from shipper.text.ids import carried

MISSING: Any = object()


class Python(Filter):
    """Call a function in a Python file for each event.

    It gets the event as a dict of its own, with what is true of the whole batch (`host`, `file`, `kubernetes`) merged in, and
    gives an event, a list of events, or None to drop it. When it raises, or gives anything else, the event goes on
    as it came and `on_error` decides; the reason says the exception and the line. The file is read once for each filter
    that names it, and again at a reload.

    ```yaml
    filters:
      prices: {type: python, file: filters.py, function: add_price}
    ```

    ```python
    def add_price(event):
        event["price"] = event["amount"] * 2
        return event
    ```
    """

    file: Annotated[Path, Meta(extra=RELATIVE, description="The Python file.")]
    function: Annotated[str, Meta(description="Name of the function in it.")] = "process"

    _call: Callable[[Event], Any] | None = None

    def check(self) -> Iterable[tuple[str, str]]:
        try:
            self._call = self._loaded()
        except Unusable as error:
            yield error.option, str(error)

    def version(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest() if self.file.is_file() else ""

    def _loaded(self) -> Callable[[Event], Any]:
        try:
            source = self.file.read_bytes()
        except OSError as error:
            raise Unusable("file", f"{self.file} cannot be read: {error.strerror}") from error
        module = ModuleType(self.file.stem)
        module.__file__ = str(self.file)
        try:
            exec(compile(source, str(self.file), "exec"), module.__dict__)  # noqa: S102  (the user's own code is the point)
        except SyntaxError as error:
            raise Unusable("file", f"{error.filename}:{error.lineno}: {error.msg}") from error
        except (Exception, SystemExit) as error:
            raise Unusable("file", f"it fails when it is loaded: {self._reason(error)}") from error
        found = getattr(module, self.function, None)
        if not callable(found):
            known = [
                name
                for name, value in vars(module).items()
                if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
            ]
            what = "is no function" if hasattr(module, self.function) else "does not exist"
            raise Unusable("function", f"{self.function} {what} in {self.file}; there is {', '.join(known) or 'none'}")
        if inspect.iscoroutinefunction(found):
            line = found.__code__.co_firstlineno
            raise Unusable("function", f"{self.file}:{line}: {self.function} is async; expected a plain function")
        call: Callable[[Event], Any] = found
        return call

    def apply(self, batch: Batch) -> Batch:
        if self._call is None:
            self._call = self._loaded()
        call, attrs = self._call, batch.attrs
        events: list[Event] = []
        for event in batch.events:
            whole: Event = {**attrs, **event} if attrs else event
            given = copied(whole)
            label = given.pop(ID, None)
            try:
                result = call(given)
            except (Exception, SystemExit) as error:
                reason = self._reason(error)
            else:
                if type(result) is dict:
                    if label is not None:
                        result[ID] = label
                    events.append(result)
                    continue
                if result is None:
                    continue
                if isinstance(result, list) and all(isinstance(item, dict) for item in result):
                    events += carried(label, result)
                    continue
                reason = f"{self.function} gave {_kind(result)}; expected a dict, a list of dicts, or None"
            events.append(whole)
            self.fault(whole, reason)
        kept = {key: value for key, value in attrs.items() if _untouched(key, value, events)}
        for event in events if kept else ():
            for key in kept:
                event.pop(key, None)  # the function may have given the same dict twice
        batch.events, batch.attrs = events, kept or NO_ATTRS
        return batch

    def _reason(self, error: BaseException) -> str:
        """The exception, and where in the file it came from."""
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(self.file):
                line = trace.tb_lineno
            trace = trace.tb_next
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return f"{text} ({self.file}:{line})" if line else f"{text} ({self.file})"


class Unusable(ValueError):
    """The file or the function cannot be used; `option` is the one to blame."""

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(sentence)
        self.option = option


def _untouched(key: str, value: Any, events: list[Event]) -> bool:
    """Whether all events still have this very value, so that it can be held once."""
    return isinstance(value, (str, int, float)) and all(event.get(key, MISSING) is value for event in events)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list with something else than dicts"
    return f"something of type {type(value).__name__}"
