"""Digests in the organization file: what one may say, and what applying it makes of those that are there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from bot.organization.apply import NotApplicable
from storage.engine import Store
from tests.organization.test_apply import NOW, acme, run
from tests.organization.test_file import ACME, mistakes

DIGESTS = """\
digests:
  - name: morning
    channel: C0001
    owner: ada@acme.test
    schedule: weekdays at 9
    zone: europe/berlin
    filters: critical team:payments
    empty: skip
    grace_minutes: 20
  - {name: hourly, channel: C0002, owner: ada@acme.test, schedule: hourly, picture: false}
"""


def rows(store: Store) -> dict[str, dict[str, object]]:
    with store.read() as connection:
        found = connection.execute(text("SELECT * FROM digest ORDER BY name")).mappings()
        return {str(row["name"]): dict(row) for row in found}


def pause(store: Store, name: str, reason: str | None) -> None:
    with store.write() as tx:
        tx.execute(
            text(
                "UPDATE digest SET next_fire_at = NULL, date_paused = now(), pause_reason = :reason WHERE name = :name"
            ),
            {"name": name, "reason": reason},
        )


def test_digests_are_made_once_and_changed_in_place(store: Store) -> None:
    changes = run(store, acme(ACME + DIGESTS))
    assert "added digest morning: 0 9 * * 1-5 (Europe/Berlin) in C0001" in changes
    before = rows(store)
    assert before["morning"]["filters"] == "critical team:payments"
    assert before["morning"]["skip_empty"] is True
    assert before["morning"]["grace_minutes"] == 20
    # It is ten on Monday in Berlin: the next time is Tuesday's.
    assert before["morning"]["next_fire_at"] == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert before["hourly"]["zone"] == "UTC"
    assert before["hourly"]["picture"] is False
    assert run(store, acme(ACME + DIGESTS)) == []
    assert rows(store) == before

    later = acme(ACME + DIGESTS, ("weekdays at 9", "every day at 7:30"))
    assert run(store, later, now=NOW + timedelta(hours=1)) == [
        "changed digest morning: schedule: 0 9 * * 1-5 -> 30 7 * * *"
    ]
    assert rows(store)["morning"]["next_fire_at"] == datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
    assert rows(store)["morning"]["id"] == before["morning"]["id"]


def test_a_grace_that_the_file_does_not_name_is_the_default(store: Store) -> None:
    def graces() -> dict[str, object]:
        return {name: row["grace_minutes"] for name, row in rows(store).items() if not row["default_grace"]}

    run(store, acme(ACME + DIGESTS))
    assert graces() == {"morning": 20}
    assert run(store, acme(ACME + DIGESTS, ("    grace_minutes: 20\n", ""))) == [
        "changed digest morning: grace_minutes: 20 -> none"
    ]
    assert graces() == {}
    # Ten minutes are the default of the column, and still a choice where the file names them.
    run(store, acme(ACME + DIGESTS, ("grace_minutes: 20", "grace_minutes: 10")))
    assert graces() == {"morning": 10}


def test_digests_that_the_file_no_longer_names_stay_unless_pruned(store: Store) -> None:
    run(store, acme(ACME + DIGESTS))
    assert run(store, acme()) == ["kept digest hourly", "kept digest morning"]
    assert run(store, acme(), prune=True) == ["removed digest hourly", "removed digest morning"]
    assert rows(store) == {}


def test_what_paused_itself_is_tried_again_when_the_file_changes_it(store: Store) -> None:
    run(store, acme(ACME + DIGESTS))
    pause(store, "morning", "The channel is archived.")
    pause(store, "hourly", None)
    run(store, acme(ACME + DIGESTS, ("C0002", "C0004"), ("channel: C0001", "channel: C0003")))
    assert rows(store)["morning"]["next_fire_at"] is not None
    # What a person paused stays so.
    assert rows(store)["hourly"]["next_fire_at"] is None
    assert rows(store)["hourly"]["channel_id"] == "C0004"


def test_in_another_workspace_they_are_made_again(store: Store) -> None:
    run(store, acme(ACME + DIGESTS))
    run(store, acme(ACME + DIGESTS, ("T0001", "T0002")), prune=True)
    assert {row["workspace_id"] for row in rows(store).values()} == {"T0002"}
    assert len(rows(store)) == 2


def test_a_digest_needs_a_workspace(store: Store) -> None:
    with pytest.raises(NotApplicable, match="names no workspace"):
        run(store, acme(ACME + DIGESTS, ("workspaces: [T0001]", "workspaces: []")))


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "hint"),
    [
        ("weekdays at 9", "61 * * * *", 23, "digests[0].schedule", "it can be 0 to 59"),
        ("weekdays at 9", "0 9 30 2 *", 23, "digests[0].schedule", "there is no 30 February"),
        ("europe/berlin", "Berlin", 24, "digests[0].zone", "Did you mean “Europe/Berlin”?"),
        ("critical team", "closed team", 25, "digests[0].filters", "would leave it empty"),
        ("critical team", "tema", 25, "digests[0].filters", "Did you mean “team:”?"),
        ("team:payments", "since:soon", 25, "digests[0].filters", "is not a time"),
        ("team:payments", "team:paiments", 25, "digests[0].filters", "did you mean payments?"),
        ("team:payments", "project:chekout", 25, "digests[0].filters", "did you mean checkout?"),
        ("ada@acme.test\n    schedule", "eva@acme.test\n    schedule", 22, "digests[0].owner", "did you mean ada@"),
        ("empty: skip", "empty: maybe", 26, "digests[0].empty", "should be send or skip, not maybe"),
        ("grace_minutes: 20", "grace_minutes: soon", 27, "digests[0].grace_minutes", "number of minutes"),
        ("channel: C0001\n", "channel: general\n", 21, "digests[0].channel", "Slack id of a channel"),
        ("name: hourly", "name: morning", 28, "digests[1].name", "stands twice"),
        ("schedule: hourly, ", "", 28, "digests[1].schedule", "is missing"),
        ("picture: false", "pictures: false", 28, "digests[1].pictures", "did you mean picture?"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, field: str, hint: str) -> None:
    assert old in ACME + DIGESTS
    (found,) = mistakes((ACME + DIGESTS).replace(old, new, 1))
    assert found.startswith(f"acme.yaml:{line}: {field}: "), found
    assert hint in found
