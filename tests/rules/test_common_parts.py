"""What the alerts of a storm have in common."""

from __future__ import annotations

import pytest

from bot.incidents.common_parts import AlertWords, find_common, find_shared_labels


def common_title(*titles: str) -> str | None:
    return find_common([AlertWords(title, {}) for title in titles]).title


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["Host 1 is down", "Host 2 is down", "Host 17 is down"], "Host … is down"),
        (["HostDown (host=web-1)", "HostDown (host=web-2)"], "HostDown …"),
        (["Latency of checkout", "Latency of search"], "Latency of …"),
        (["eu-1: disk is full", "eu-2: disk is full"], "disk is full"),
        (["Disk is full"] * 3, "Disk is full"),
        # Nothing that says anything.
        (["Host 1 is down", "Disk is full"], None),
        (["Checkout fails", "Search fails slowly in the east of the data centre"], None),
        (["", ""], None),
        (["1", "2"], None),
        # One of many is something else.
        ([*(f"Host {n} is down" for n in range(9)), "The moon is too close"], "Host … is down"),
        ([*(f"Host {n} is down" for n in range(5)), *(f"Disk {n} has gone" for n in range(5))], None),
        (["Сервер 1 недоступен", "Сервер 2 недоступен"], "Сервер … недоступен"),
        (["主机 1 宕机了吗", "主机 2 宕机了吗"], "主机 … 宕机了吗"),
    ],
)
def test_the_part_that_titles_share(titles: list[str], expected: str | None) -> None:
    assert common_title(*titles) == expected


def test_a_single_alert_has_nothing_in_common() -> None:
    assert find_common([AlertWords("Host 1 is down", {"zone": "eu-1"})]) == find_common([])


def test_labels_that_all_and_most_alerts_have_the_most_telling_first() -> None:
    alerts = [
        AlertWords(
            title,
            {"zone": "eu-1" if number else "eu-2", "alertname": "HostDown", "rack": "7", "severity": "warning"}
            | {"host": f"web-{number}", "service": "checkout"},
        )
        for number, title in enumerate(["Ada", "Ben", "Cyn", "Dan", "Eve"])
    ]
    found = find_common(alerts)
    assert [(one.name, one.value, one.all) for one in found.labels] == [
        ("alertname", "HostDown", True),
        ("service", "checkout", True),
        ("zone", "eu-1", False),
    ]


def test_labels_that_the_titles_say_already_are_left_out() -> None:
    alerts = [AlertWords(f"HostDown in eu-1 on {n}", {"alertname": "HostDown", "zone": "eu-1"}) for n in range(4)]
    found = find_common(alerts)
    assert (found.title, found.labels) == ("HostDown in eu-1 on …", ())


def test_long_titles_of_many_alerts_are_compared_in_no_time() -> None:
    titles = [f"word{n} " * 100 for n in range(50)]
    assert common_title(*titles) is None


def test_labels_to_silence_are_those_of_most_alerts() -> None:
    alerts = [{"zone": "eu-1", "host": str(number)} for number in range(9)]
    assert find_shared_labels([*alerts, {}]) == {"zone": "eu-1"}
    assert find_shared_labels([*alerts, {}, {}, {}]) == {}, "too many cannot be silenced this way"
    assert find_shared_labels([]) == {}
