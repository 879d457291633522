"""Tests of the filter `team`: it is constructed and called; no configuration, no loop, no mock."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team import Table, Team

from shipper import FieldPath
from shipper.testing import check_filter, filtered

TEAMS = """network,team,country
10.0.0.0/8,platform,
10.1.0.0/16,shop,DE
10.1.2.0/24,payment,KR
2001:db8::/32,edge,FR
"""


def team(folder: Path, text: str = TEAMS) -> Team:
    (folder / "teams.csv").write_text(text)
    return Team(table=folder / "teams.csv", field=FieldPath("client.ip"))


@pytest.mark.parametrize(
    ("address", "added"),
    [
        ("10.1.2.255", {"team": "payment", "country": "KR"}),
        ("10.1.3.0", {"team": "shop", "country": "DE"}),
        ("10.2.0.1", {"team": "platform"}),
        ("11.0.0.0", {}),
        ("2001:db8::7", {"team": "edge", "country": "FR"}),
        ("::ffff:10.1.2.1", {"team": "payment", "country": "KR"}),
        ("no address", {}),
        (7, {}),
    ],
)
def test_the_narrowest_network_wins(tmp_path: Path, address: object, added: dict[str, str]) -> None:
    """What the table says of the narrowest network is added; without one the event goes on as it came."""
    event = {"client": {"ip": address}}
    assert filtered(team(tmp_path), [event, {"other": 1}]) == [{**event, **added}, {"other": 1}]


def test_the_address_may_be_true_of_the_whole_batch_and_own_fields_win(tmp_path: Path) -> None:
    """An attribute is found too; a field that the event has is left alone."""
    attrs = {"client": {"ip": "10.1.2.3"}}
    assert filtered(team(tmp_path), [{"team": "mine"}], attrs) == [{"team": "mine", "country": "KR"}]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("net,team\n", "expected `network` among them"),
        ("", "expected `network` among them"),
        ("network,team\n10.0.0.0/8,a\n10.0.0.1/8,b\n", "line 3: 10.0.0.1/8 has host bits set"),
        ("network,team\n10.0.0.0/8,a\n10.0.0.0/8,b\n", "line 3: 10.0.0.0/8 is there twice"),
        ("network,team\n10.0.0.0/8\n", "line 2: expected 2 columns"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_problem_of_the_configuration(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """`shipper validate` says which line of the table is wrong, and why."""
    ((option, sentence),) = team(tmp_path, text).check()
    assert option == "table"
    assert complaint in sentence


def test_a_missing_table_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    """The problem names the file."""
    assert list(team(tmp_path).check()) == []
    ((_, sentence),) = Team(table=tmp_path / "none.csv").check()
    assert "none.csv: No such file" in sentence


NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 8, 9, 23, 24, 30, 31, 32])).map(
    lambda drawn: ipaddress.ip_network(drawn, strict=False)
)


@given(networks=st.sets(NETWORKS, max_size=12), near=st.integers(-1, 1))
def test_finds_what_a_search_through_all_networks_finds(
    tmp_path_factory: pytest.TempPathFactory, networks: set[ipaddress.IPv4Network], near: int
) -> None:
    """At, before and behind every bound of any networks, the longest prefix around the address is found."""
    path = tmp_path_factory.mktemp("table") / "teams.csv"
    path.write_text("network,team\n" + "".join(f"{network},{network}\n" for network in networks))
    table = Table(path)
    for number in {int(bound) + near for network in networks for bound in (network[0], network[-1])}:
        address = ipaddress.IPv4Address(number % 2**32)
        around = [network for network in networks if address in network]
        narrowest = max(around, key=lambda network: network.prefixlen, default=None)
        assert table.find(str(address)) == ({"team": str(narrowest)} if narrowest else {})


def test_keeps_the_contract_of_filters(tmp_path: Path) -> None:
    """Attributes are left alone and an error is contained."""
    check_filter(lambda: team(tmp_path), [{"client": {"ip": "10.1.2.3"}}, {"client": 3}, {}])
