"""Applying an organization file: what it writes, what it keeps, and that a second time writes nothing."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from bot.incidents.lifecycle import open_incident
from bot.organization.apply import NotApplicable, apply
from bot.organization.file import OrganizationFile, parse
from bot.organization.plan import ChangeKind, Plan
from storage.engine import Store
from storage.models import (
    Incident,
    IncidentActivity,
    Member,
    MemberTeam,
    Organization,
    Project,
    ProjectChannel,
    ProjectTeam,
    SlackPerson,
    Team,
    Workspace,
)
from storage.queries import audit
from storage.queries.organization import OrganizationState, find_organization
from storage.rows import NewIncident
from storage.values import Status, StatusMethod
from tests.organization.test_file import ACME

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
BOB = "  - {email: bob@acme.test, name: Bob, slack: U0002, teams: [payments]}\n"
BOB_AS_OWNER = BOB.replace("Bob,", "Bob, role: owner,")


def acme(text: str = ACME, *changes: tuple[str, str]) -> OrganizationFile:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return parse(text, "acme.yaml")


def run(
    store: Store,
    file: OrganizationFile,
    *,
    prune: bool = False,
    dry_run: bool = False,
    now: datetime = NOW,
) -> list[str]:
    """Applies a file; gives the lines of the difference."""
    result: Plan = apply(store, file, now, prune=prune, dry_run=dry_run)
    return [" ".join(change.format().split()) for change in result.changes]


def state(store: Store, slug: str = "acme") -> OrganizationState:
    with store.read() as connection:
        found = find_organization(connection, slug)
    assert found is not None
    return found


def test_the_first_time_adds_everything_and_the_second_nothing(store: Store) -> None:
    assert run(store, acme()) == [
        "added organization acme",
        "added workspace T0001",
        "added team payments",
        "added project checkout: teams payments, channels C0001",
        "added member ada@acme.test: role owner, teams payments",
    ]
    assert run(store, acme()) == []
    assert run(store, acme(), prune=True) == []
    now = state(store)
    assert now.name == "Acme"
    assert now.workspaces == {"T0001"}
    assert now.teams["payments"].slack_usergroup == "S0001"
    assert now.projects["checkout"].teams == {"payments"}
    assert now.projects["checkout"].channels == {"C0001"}
    (ada,) = now.members
    assert (ada.email, ada.name, ada.slack, ada.role) == ("ada@acme.test", "Ada Obi", "U0001", "owner")
    assert ada.teams == {"payments"}


def test_a_dry_run_shows_the_same_and_writes_nothing(store: Store) -> None:
    shown = run(store, acme(), dry_run=True)
    with store.read() as connection:
        assert connection.scalar(select(Organization.id)) is None
    assert run(store, acme()) == shown


def test_changed_fields_are_shown_with_old_and_new_value(store: Store) -> None:
    run(store, acme(ACME + BOB_AS_OWNER))
    changed = acme(
        ACME + BOB_AS_OWNER,
        ("name: Acme", "name: Acme Ltd"),
        ("open_membership: false", "open_membership: true"),
        ("name: Payments, slack_usergroup: S0001", "name: Pay, remind_owner: 60m"),
        ("name: Checkout", "name: Check-out, quiet_minutes: 15, storm: {cards: 10, within: 120s}"),
        ("role: owner", "role: admin"),
        ("superuser: false", "superuser: true"),
    )
    assert run(store, changed) == [
        "changed organization acme: name: Acme -> Acme Ltd, open_membership: false -> true",
        "changed team payments: name: Payments -> Pay, slack_usergroup: S0001 -> none, remind_owner: none -> 1h",
        (
            "changed project checkout: name: Checkout -> Check-out, quiet_minutes: 5 -> 15, storm.cards: 5 -> 10,"
            " storm.within: 1m -> 2m"
        ),
        "changed member ada@acme.test: role: owner -> admin, superuser: false -> true",
    ]
    assert run(store, changed) == []


SMALLER = (
    "organization: {slug: acme, name: Acme, workspaces: [T0001]}\n"
    "teams: [{slug: ops, name: Ops}]\n"
    "projects: [{slug: checkout, name: Checkout, teams: [ops], channels: [C0002]}]\n"
    "members: [{email: bob@acme.test, name: Bob, slack: U0002, role: owner, teams: [ops]}]\n"
)


def test_without_prune_nothing_is_removed_and_what_is_kept_is_told(store: Store) -> None:
    run(store, acme(ACME + BOB_AS_OWNER))
    lines = run(store, acme(SMALLER))
    kept = [
        "kept team payments",
        "kept project checkout: team payments",
        "kept project checkout: channel C0001",
        "kept member bob@acme.test: team payments",
        "kept member ada@acme.test",
    ]
    assert [line for line in lines if line.startswith("kept")] == kept
    assert [line for line in lines if line.startswith("removed")] == []
    assert run(store, acme(SMALLER)) == kept, "what is kept is no change"
    now = state(store)
    assert now.projects["checkout"].teams == {"ops", "payments"}
    assert now.projects["checkout"].channels == {"C0001", "C0002"}
    assert [m.removed for m in now.members] == [None, None]


def test_prune_removes_what_the_file_no_longer_names(store: Store) -> None:
    run(store, acme(ACME + BOB_AS_OWNER))
    assert run(store, acme(SMALLER), prune=True) == [
        "added team ops",
        "removed team payments",
        "added project checkout: team ops",
        "added project checkout: channel C0002",
        "removed project checkout: team payments",
        "removed project checkout: channel C0001",
        "added member bob@acme.test: team ops",
        "removed member bob@acme.test: team payments",
        "removed member ada@acme.test",
    ]
    assert run(store, acme(SMALLER), prune=True) == []
    with store.read() as connection:
        assert set(connection.scalars(select(Team.slug))) == {"ops"}
        assert set(connection.scalars(select(ProjectChannel.channel_id))) == {"C0002"}
        assert len(connection.execute(select(ProjectTeam)).all()) == 1
        assert len(connection.execute(select(MemberTeam)).all()) == 1
        removed = select(Member.date_removed).where(Member.email == "ada@acme.test")
        assert connection.scalar(removed) == NOW


def test_a_pruned_member_who_returns_is_the_same_member(store: Store) -> None:
    run(store, acme(ACME + BOB))
    before = {m.email: m.id for m in state(store).members}
    run(store, acme(), prune=True)
    (line,) = run(store, acme(ACME + BOB.replace(", teams: [payments]", "")), now=NOW + timedelta(days=1))
    assert line == "added member bob@acme.test: again, after leaving on 2026-11-23; role member"
    after = {m.email: m for m in state(store).members}
    assert after["bob@acme.test"].id == before["bob@acme.test"]
    assert after["bob@acme.test"].removed is None
    assert after["bob@acme.test"].teams == frozenset(), "their teams are what the file says now"


def test_a_changed_email_with_the_same_slack_id_is_the_same_member(store: Store) -> None:
    run(store, acme())
    (before,) = state(store).members
    assert run(store, acme(ACME, ("ada@acme.test", "ada.obi@acme.test")), prune=True) == [
        "changed member ada@acme.test: email: ada@acme.test -> ada.obi@acme.test"
    ]
    (after,) = state(store).members
    assert (after.id, after.email) == (before.id, "ada.obi@acme.test")


def test_members_may_swap_emails_and_slack_ids(store: Store) -> None:
    run(store, acme(ACME + BOB))
    swapped = acme((ACME + BOB).replace("U0001", "U9").replace("U0002", "U0001").replace("U9", "U0002"))
    assert run(store, swapped) == [
        "changed member ada@acme.test: slack: U0001 -> U0002",
        "changed member bob@acme.test: slack: U0002 -> U0001",
    ]
    run(store, acme(ACME, ("ada@acme.test", "cid@acme.test"), ("U0001", "U0002")))
    emails = {m.slack: m.email for m in state(store).members}
    assert emails == {"U0002": "cid@acme.test", "U0001": "bob@acme.test"}


def test_a_slack_id_that_the_file_gives_to_another_is_taken_from_its_holder(store: Store) -> None:
    run(store, acme(ACME + BOB))
    ada_alone = acme(ACME, ("slack: U0001", "slack: U0002"))
    assert run(store, ada_alone) == [
        "changed member ada@acme.test: slack: U0001 -> U0002",
        "kept member bob@acme.test",
        "changed member bob@acme.test: slack: U0002 -> none",
    ]
    assert run(store, ada_alone) == ["kept member bob@acme.test"]


def test_an_email_of_somebody_who_left_can_be_given_to_another(store: Store) -> None:
    run(store, acme(ACME + BOB))
    run(store, acme(), prune=True)
    run(store, acme(ACME, ("ada@acme.test", "bob@acme.test")))
    now = {m.slack: m for m in state(store).members if m.removed is None}
    assert now["U0001"].email == "bob@acme.test"
    assert run(store, acme(ACME, ("ada@acme.test", "bob@acme.test")), prune=True) == []


def test_a_workspace_of_another_organization_is_refused_by_name(store: Store) -> None:
    run(store, acme())
    other = acme("organization: {slug: other, name: Other, workspaces: [T0001]}")
    for dry_run in (True, False):
        with pytest.raises(NotApplicable, match="T0001 belongs to the organization acme"):
            run(store, other, dry_run=dry_run)
    with store.read() as connection:
        assert set(connection.scalars(select(Organization.slug))) == {"acme"}


def test_an_organization_may_have_several_workspaces(store: Store) -> None:
    run(store, acme())
    assert run(store, acme(ACME, ("T0001", "T0001, T0002"))) == ["added workspace T0002"]
    moved = acme(ACME, ("T0001", "T0002"))
    assert run(store, moved) == ["kept workspace T0001"]
    assert run(store, moved, prune=True) == ["removed workspace T0001"]
    with store.read() as connection:
        assert connection.scalars(select(Workspace.id)).all() == ["T0002"]


def test_who_is_who_is_looked_at_again_after_a_change_of_members(store: Store) -> None:
    run(store, acme(ACME + BOB))
    members = {m.email: m.id for m in state(store).members}
    with store.write() as tx:
        tx.execute(
            insert(SlackPerson),
            [
                {"workspace_id": "T0001", "user_id": u, "member_id": m, "name": u, "date_checked": NOW}
                for u, m in (("U0001", members["ada@acme.test"]), ("U0002", members["bob@acme.test"]))
            ],
        )
    people = select(SlackPerson.user_id, SlackPerson.member_id, SlackPerson.date_checked).order_by(SlackPerson.user_id)
    run(store, acme(ACME + BOB, ("name: Checkout", "name: Check-out")))
    with store.read() as connection:
        assert {row.date_checked for row in connection.execute(people)} == {NOW}, "nobody changed"
    run(store, acme(ACME, ("name: Checkout", "name: Check-out")), prune=True)
    with store.read() as connection:
        assert [tuple(row) for row in connection.execute(people)] == [
            ("U0001", members["ada@acme.test"], None),
            ("U0002", None, None),
        ]


def test_pruning_a_project_closes_the_open_incidents_that_nobody_would_see(store: Store) -> None:
    two = "  - {slug: billing, name: Billing}\nmembers:"
    run(store, acme(ACME, ("members:", two)))
    now = state(store)
    billing, checkout = now.projects["billing"].id, now.projects["checkout"].id
    with store.write() as tx:
        for title, projects in (("lost", [billing]), ("shared", [billing, checkout]), ("other", [checkout])):
            open_incident(
                tx,
                now.id,
                NewIncident(
                    project_ids=projects,
                    title=title,
                    status=Status.CRITICAL,
                    method=StatusMethod.RULE_TRIGGERED,
                    date_started=NOW,
                    date_detected=NOW,
                    dedup_key=title,
                ),
                NOW,
            )
    assert run(store, acme(), prune=True) == [
        "removed project billing: with 2 incidents, which only their other projects still show"
    ]
    with store.read() as connection:
        rows = connection.execute(select(Incident.title, Incident.status, Incident.status_method))
        assert {row.title: (row.status, row.status_method) for row in rows} == {
            "lost": (Status.CLOSED, StatusMethod.RULE_UPDATED),
            "shared": (Status.CRITICAL, StatusMethod.RULE_TRIGGERED),
            "other": (Status.CRITICAL, StatusMethod.RULE_TRIGGERED),
        }
        assert set(connection.scalars(select(Project.slug))) == {"checkout"}


def test_a_pruned_team_no_longer_owns_incidents(store: Store) -> None:
    run(store, acme())
    now = state(store)
    with store.write() as tx:
        open_incident(
            tx,
            now.id,
            NewIncident(
                project_ids=[now.projects["checkout"].id],
                title="x",
                status=Status.OPEN,
                method=StatusMethod.MANUAL,
                date_started=NOW,
                date_detected=NOW,
                team_id=now.teams["payments"].id,
            ),
            NOW,
        )
    without = ACME.replace("teams: [payments]", "teams: []").replace("teams:\n  - {slug: pay", "teams:\n  - {slug: pax")
    run(store, acme(without), prune=True)
    with store.read() as connection:
        assert connection.scalar(select(Incident.team_id)) is None
        assert connection.exec_driver_sql("SELECT team_id FROM incident_project").scalar() == 0


def test_members_who_left_keep_their_log(store: Store) -> None:
    run(store, acme(ACME + BOB_AS_OWNER))
    now = state(store)
    (ada,) = [one for one in now.members if one.email == "ada@acme.test"]
    with store.write() as tx:
        open_incident(
            tx,
            now.id,
            NewIncident(
                project_ids=[now.projects["checkout"].id],
                title="x",
                status=Status.OPEN,
                method=StatusMethod.MANUAL,
                date_started=NOW,
                date_detected=NOW,
            ),
            NOW,
            ada.id,
        )
    run(store, acme(SMALLER), prune=True)
    with store.read() as connection:
        assert set(connection.scalars(select(IncidentActivity.member_id))) == {ada.id}


def test_two_at_once_apply_one_after_the_other(store: Store) -> None:
    results: list[ChangeKind] = []

    def work() -> None:
        results.extend(change.kind for change in apply(store, acme(), NOW, prune=False, dry_run=False).changes)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [ChangeKind.ADDED] * 5


def test_what_fails_half_way_leaves_nothing(store: Store) -> None:
    run(store, acme())
    with store.write() as tx:
        # As only a hand in the database can do: the next insert of that name will fail.
        tx.execute(update(Project).values(slug="checkout-old"))
        tx.exec_driver_sql("ALTER TABLE team ADD CONSTRAINT none_more CHECK (slug <> 'ops')")
    try:
        with pytest.raises(Exception, match="none_more"):
            run(
                store,
                acme(ACME, ("name: Acme", "name: Changed"), ("{slug: pay", "{slug: ops, name: O}\n  - {slug: pay")),
            )
    finally:
        with store.write() as tx:
            tx.exec_driver_sql("ALTER TABLE team DROP CONSTRAINT none_more")
    assert state(store).name == "Acme"


def test_organizations_do_not_touch_each_other(store: Store) -> None:
    run(store, acme())
    other = acme(ACME, ("slug: acme", "slug: other"), ("T0001", "T0009"))
    assert len(run(store, other, prune=True)) == 5
    assert run(store, acme(), prune=True) == []
    assert run(store, other, prune=True) == []


def change_in_slack(store: Store, email: str, **values: object) -> None:
    with store.write() as tx:
        tx.execute(update(Member).where(Member.email == email).values(changed_in_slack=True, **values))


def test_what_was_changed_in_slack_stays_until_the_file_names_it(store: Store) -> None:
    run(store, acme())
    with store.write() as tx:
        organization_id = tx.scalars(select(Organization.id)).one()
        tx.execute(
            insert(Member).values(
                organization_id=organization_id, email="bob@acme.test", name="Bob", role="admin", changed_in_slack=True
            )
        )
    kept = ["kept member bob@acme.test: added or changed in Slack"]
    assert run(store, acme(), prune=True) == kept
    assert [row.removed for row in state(store).members if row.email == "bob@acme.test"] == [None]
    named = run(store, acme(ACME + BOB), prune=True)
    assert "changed member bob@acme.test: slack: none -> U0002, role: admin -> member" in named
    assert "changed member bob@acme.test: was changed in Slack; the file counts from now on" in named
    assert run(store, acme(ACME + BOB), prune=True) == []
    assert run(store, acme(), prune=True) == ["removed member bob@acme.test"]


def test_a_removal_in_slack_is_taken_back_by_the_file_that_names_the_member(store: Store) -> None:
    run(store, acme(ACME + BOB))
    change_in_slack(store, "bob@acme.test", date_removed=NOW)
    lines = run(store, acme(ACME + BOB), dry_run=True)
    assert "added member bob@acme.test: again, after leaving in Slack on 2026-11-23; role member" in lines
    assert run(store, acme(ACME + BOB)) == lines
    assert run(store, acme(ACME + BOB)) == []


MANY = ("workspaces: [T0001]", "workspaces: [T0001, T0002]")
BY_WORKSPACE = ("slack: U0001", "slack: {T0001: U0001, T0002: U0077}")


def test_slack_ids_by_workspace_are_compared_and_replaced(store: Store) -> None:
    run(store, acme())
    assert run(store, acme(ACME, MANY, BY_WORKSPACE)) == [
        "added workspace T0002",
        "changed member ada@acme.test: slack: U0001 -> {T0001: U0001, T0002: U0077}",
    ]
    assert run(store, acme(ACME, MANY, BY_WORKSPACE)) == []
    assert state(store).members[0].slack == {"T0001": "U0001", "T0002": "U0077"}
    with store.read() as connection:
        changed, _ = audit.list_entries(connection, state(store).id, people=None, since=None, skip=0, most=1)
    assert changed[0].before == {"slack": "U0001"}
    assert changed[0].after == {"slack": {"T0001": "U0001", "T0002": "U0077"}}
    # The id goes to somebody else, and the e-mail of whom it was has changed.
    bob = "  - {email: bob@acme.test, name: Bob, slack: {T0002: U0077}}\n"
    fewer = ("slack: U0001", "slack: {T0001: U0001}")
    ids = "slack: {T0001: U0001, T0002: U0077} -> {T0001: U0001}"
    assert run(store, acme(ACME + bob, MANY, fewer, ("ada@acme.test", "obi@acme.test"))) == [
        f"changed member ada@acme.test: email: ada@acme.test -> obi@acme.test, {ids}",
        "added member bob@acme.test: role member",
    ]
    assert [one.slack for one in state(store).members] == [{"T0001": "U0001"}, {"T0002": "U0077"}]
    assert run(store, acme(ACME, MANY, ("ada@acme.test", "obi@acme.test")), prune=True) == [
        "changed member obi@acme.test: slack: {T0001: U0001} -> U0001",
        "removed member bob@acme.test",
    ]
    # Bob has left. By the id he is known again, whatever his e-mail is now.
    bob = bob.replace("bob@", "robert@")
    assert run(store, acme(ACME + bob, MANY, ("ada@acme.test", "obi@acme.test"))) == [
        "added member robert@acme.test: again, after leaving on 2026-11-23; role member"
    ]
    assert [one.slack for one in state(store).members] == ["U0001", {"T0002": "U0077"}]


def test_an_id_is_taken_from_who_is_not_in_the_file(store: Store) -> None:
    bob = "  - {email: bob@acme.test, name: Bob, slack: {T0001: U0002, T0002: U0077}}\n"
    run(store, acme(ACME + bob, MANY))
    assert run(store, acme(ACME, MANY, BY_WORKSPACE)) == [
        "changed member ada@acme.test: slack: U0001 -> {T0001: U0001, T0002: U0077}",
        "kept member bob@acme.test",
        "changed member bob@acme.test: slack: {T0001: U0002, T0002: U0077} -> {T0001: U0002}",
    ]
    assert run(store, acme(ACME, MANY, ("slack: U0001", "slack: U0002"))) == [
        "changed member ada@acme.test: slack: {T0001: U0001, T0002: U0077} -> U0002",
        "kept member bob@acme.test",
        "changed member bob@acme.test: slack: {T0001: U0002} -> none",
    ]


@pytest.mark.parametrize("prune", [False, True])
def test_a_slack_id_of_a_workspace_that_is_not_the_organizations_is_refused(store: Store, *, prune: bool) -> None:
    run(store, acme(ACME, MANY))
    run(store, parse("organization: {slug: globex, name: Globex, workspaces: [T0009]}", "globex.yaml"))
    with pytest.raises(NotApplicable, match=r"members\[0\].slack.T0009: the organization has no workspace T0009; did"):
        run(store, acme(ACME, ("slack: U0001", "slack: {T0009: U0001}")), prune=prune)
    only_one = acme(ACME, BY_WORKSPACE)
    if prune:
        with pytest.raises(NotApplicable, match=r"members\[0\].slack.T0002: the organization has no workspace T0002"):
            run(store, only_one, prune=True)
        assert state(store).workspaces == {"T0001", "T0002"} and state(store).members[0].slack == "U0001"
    else:
        assert len(run(store, only_one)) == 2  # what is kept, and the ids
