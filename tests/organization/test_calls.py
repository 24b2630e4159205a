"""The calls of a team in the organization file: their mistakes, the difference, and what is stored."""

from __future__ import annotations

import pytest

from bot.organization.apply import apply
from bot.organization.file import BadFile, parse
from bot.organization.plan import Change, ChangeKind
from storage.engine import Store
from storage.queries.organization import find_organization
from tests.organization.test_apply import NOW

ACME = """\
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams:
  - slug: payments
    name: Payments
    oncall_usergroup: S0009
    timezone: europe/berlin
    calls:
      - {severity: critical, who: oncall, after: 0m}
      - {severity: critical, who: team, after: 5m}
      - {severity: critical, who: managers, after: 15m, repeat: 15m}
      - {severity: warning, who: ben@acme.test, after: 10m, quiet: "22:00-7:00", until: acknowledged}
members:
  - {email: ada@acme.test, name: Ada Obi, role: owner}
  - {email: ben@acme.test, name: Ben Tal, teams: [payments]}
  - {email: cyn@acme.test, name: Cyn Roe}
"""
RULE = "{severity: critical, who: team, after: 5m}"


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        (
            "{severity: critical, who: team, after: 5}",
            "after: should be a number and s, m, h or d, like 60m, not 5",
        ),
        ("{severity: critical, who: team, after: 31d}", "after: should be at most 30d, not 31d"),
        ("{severity: critical, who: team, repeat: 30s}", "repeat: repeats faster than once a minute"),
        ("{severity: urgent, who: team}", "severity: should be critical, warning or none, not urgent"),
        ("{severity: critical, who: platform}", "who: should be oncall, team, managers or the e-mail address"),
        ("{severity: critical, who: eve@acme.test}", "who: cannot be called: there is no member eve@acme.test"),
        ("{severity: critical, who: cyn@acme.test}", "who: cannot be called: cyn@acme.test is not in this team"),
        ("{severity: critical, who: oncall}", "who: calls who is on call twice in one step; the rule on line 8"),
        (
            "{severity: critical, who: ada@acme.test, after: 900s}",
            "acme.yaml:10: teams[0].calls[2].who: calls ada@acme.test twice in one step; the rule on line 9",
        ),
        ('{severity: critical, who: team, quiet: "7-9"}', "quiet: should be two times of the day"),
        ('{severity: critical, who: team, quiet: "07:00-07:00"}', "quiet: covers the whole day"),
        ("{severity: critical, who: team, until: seen}", "until: should be owned or acknowledged, not seen"),
        ("{severity: critical, who: team, afterwards: 5m}", "afterwards: is no field here; did you mean after?"),
        ("{severity: critical}", "who: is missing"),
    ],
)
def test_a_mistake_is_named_with_its_line(rule: str, mistake: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse(ACME.replace(RULE, rule), "acme.yaml")
    expected = mistake if mistake.startswith("acme.yaml") else f"acme.yaml:9: teams[0].calls[1].{mistake}"
    assert any(line.startswith(expected) for line in caught.value.lines), caught.value.lines


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("    oncall_usergroup: S0009\n", "", "acme.yaml:7: teams[0].calls[0].who: cannot be called: the team has no"),
        (", teams: [payments]", "", "acme.yaml:9: teams[0].calls[1].who: cannot be called: no member is in this team"),
        (", role: owner", "", "acme.yaml:10: teams[0].calls[2].who: cannot be called: no member is a manager"),
        (
            "    timezone",
            "    sync_members: true\n    timezone",
            "acme.yaml:6: teams[0].sync_members: needs slack_usergroup",
        ),
        ("S0009", "C0009", "acme.yaml:5: teams[0].oncall_usergroup: should be the Slack id of a user group"),
        ("europe/berlin", "europe/berln", "acme.yaml:6: teams[0].timezone: There is no time zone “europe/berln”."),
    ],
)
def test_what_can_call_nobody_is_named_with_its_line(old: str, new: str, mistake: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse(ACME.replace(old, new), "acme.yaml")
    assert any(line.startswith(mistake) for line in caught.value.lines), caught.value.lines


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [("role: owner", "role: emperor", "members[0].role"), ("[payments]", "[paymens]", "members[1].teams")],
)
def test_a_wrong_role_or_team_is_one_mistake_and_not_also_one_of_the_calls(old: str, new: str, where: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse(ACME.replace(old, new), "acme.yaml")
    (line,) = caught.value.lines
    assert where in line


def test_the_difference_shows_the_calls_and_applying_twice_changes_nothing(store: Store) -> None:
    def run(text: str, *, dry_run: bool = False) -> list[Change]:
        return apply(store, parse(text, "acme.yaml"), NOW, prune=False, dry_run=dry_run).changes

    run(ACME)
    assert run(ACME) == []
    fewer = ACME.replace(f"      - {RULE}\n", "").replace("who: managers, after: 15m", "who: managers, after: 900s")
    for dry_run in (True, False):
        (change,) = run(fewer, dry_run=dry_run)
        assert change.kind is ChangeKind.CHANGED and change.what == "team payments"
        assert (
            "critical oncall after 0m; critical team after 5m; critical managers after 15m repeat 15m" in change.detail
        )
        assert (
            "-> critical oncall after 0m; critical managers after 15m repeat 15m; warning ben@acme.test"
            in change.detail
        )
    with store.read() as connection:
        state = find_organization(connection, "acme")
    assert state is not None
    team = state.teams["payments"]
    assert team.timezone == "Europe/Berlin" and team.calls is not None
    assert team.calls[-1] == {
        "severity": 10,
        "who": "ben@acme.test",
        "after_s": 600,
        "repeat_s": None,
        "quiet": "22:00-07:00",
        "until": "acknowledged",
    }
