"""What is open and what is trusted when nobody says otherwise."""

from __future__ import annotations

import typing
from typing import Any

from shipper.config.annotations import hints_of, option_fields
from shipper.config.model import ApiOptions, Settings
from shipper.net.listen import HostPort
from shipper.options import Options
from shipper.registry import KINDS, Registry


def groups(cls: type[Options]) -> set[type[Options]]:
    """A class of options and those that its options can hold."""
    found = {cls}
    for name in option_fields(cls):
        for each in flat(hints_of(cls)[name]):
            if isinstance(each, type) and issubclass(each, Options) and each not in found:
                found |= groups(each)
    return found


def flat(annotation: Any) -> list[Any]:
    return [annotation, *(inner for each in typing.get_args(annotation) for inner in flat(each))]


def all_options() -> dict[str, tuple[type[Options], Any]]:
    registry = Registry()
    classes = {group for kind in KINDS for name in registry.names(kind) for group in groups(registry.get(kind, name))}
    classes |= groups(Settings)
    return {
        f"{cls.__module__}.{cls.__name__}.{name}": (cls, option)
        for cls in classes
        for name, option in option_fields(cls).items()
    }


def test_addresses_to_listen_on_are_loopback_or_required() -> None:
    """No component and not the API can be reached from beyond this machine unless somebody wrote that down."""
    listening = 0
    for path, (cls, option) in all_options().items():
        if any(isinstance(each, type) and issubclass(each, HostPort) for each in flat(hints_of(cls)[option.name])):
            listening += 1
            assert not isinstance(option.default, HostPort) or option.default.loopback, path
    assert listening >= 2, "http and syslog"
    assert HostPort(str(ApiOptions().listen)).loopback


def test_opt_outs_say_so_in_their_name_and_are_off() -> None:
    """Options whose names begin with `insecure_` are off, and no other option turns verification off."""
    options = all_options()
    insecure = {path: option for path, (_, option) in options.items() if option.name.startswith("insecure_")}
    assert insecure and all(option.default is False for option in insecure.values())
    for path, (_, option) in options.items():
        if option.name in insecure or path in insecure:
            continue
        assert not {"verify", "skip", "trust", "unsafe"} & set(option.name.split("_")), path
