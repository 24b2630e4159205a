"""An organization in a database, made by hand: for tests below Slack, of the rules and of storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select

from bot.incidents import lifecycle
from bot.incidents.access import Access
from storage.engine import Store
from storage.models import (
    IncidentActivity,
    Member,
    MemberTeam,
    Organization,
    Project,
    ProjectTeam,
    Team,
    Workspace,
)
from storage.rows import AlertKey, IncidentHead, NewIncident
from storage.values import FIRST_OWN_TYPE, Role, Status, StatusMethod

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class House:
    """Teams `payments` and `search` with a project each, and people by name; see `build`."""

    store: Store
    organization_id: int
    workspace_id: str
    teams: dict[str, int]
    projects: dict[str, int]
    members: dict[str, int]
    in_teams: dict[str, Sequence[str]]

    def access(self, name: str, *, superuser: bool = False) -> Access:
        """What a member may see and do, as a request would have it."""
        role = Role.OWNER if name == "owner" else Role.MEMBER
        sees_all = role is Role.OWNER or superuser
        return Access(
            organization_id=self.organization_id,
            organization_name="Acme",
            workspace_id=self.workspace_id,
            member_id=self.members[name],
            name=name,
            email=f"{name}@acme.test",
            role=role,
            superuser=superuser,
            team_ids=frozenset(self.teams[team] for team in self.in_teams[name]),
            loaded_project_ids=tuple(self.projects[p] for p in self.projects if sees_all or p in self.in_teams[name]),
            sees_all=sees_all,
            shared_channels=False,
            timezone="UTC",
        )

    def open(
        self,
        title: str = "Payments fail",
        *projects: str,
        status: Status = Status.OPEN,
        team: str | None = None,
        started: datetime = NOW,
        dedup_key: str | None = None,
        environment: str | None = None,
    ) -> IncidentHead:
        """An incident of `payments`, or of the named projects, opened by nobody in person."""
        project_ids = [self.projects[slug] for slug in projects or ("payments",)]
        key = AlertKey("events", project_ids[0], dedup_key) if dedup_key else None
        new = NewIncident(
            project_ids=project_ids,
            title=title,
            status=status,
            method=StatusMethod.RULE_TRIGGERED if dedup_key else StatusMethod.MANUAL,
            date_started=started,
            date_detected=NOW,
            team_id=self.teams[team] if team else None,
            environment=environment,
            source="events" if key else None,
            alert_key=key,
            dedup_key=dedup_key,
        )
        with self.store.write() as tx:
            return lifecycle.open_incident(tx, self.organization_id, new, NOW)

    def log(self, incident: IncidentHead) -> list[tuple[int, int | None, int | None, str | None]]:
        """An incident's log, oldest first: type, value, previous value, comment."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(
                    IncidentActivity.type,
                    IncidentActivity.value,
                    IncidentActivity.previous_value,
                    IncidentActivity.comment,
                )
                .where(
                    IncidentActivity.incident_id == incident.id,
                    IncidentActivity.date_deleted.is_(None) | (IncidentActivity.type >= FIRST_OWN_TYPE),
                )
                .order_by(IncidentActivity.date_added, IncidentActivity.id)
            )
            return [(row.type, row.value, row.previous_value, row.comment) for row in rows]


def build(store: Store, slug: str = "acme") -> House:
    """`owner` sees everything; `pia` and `paul` are of `payments`, `sam` is of `search`, `nobody` of no team."""
    in_teams: dict[str, Sequence[str]] = {
        "owner": (),
        "pia": ("payments",),
        "paul": ("payments",),
        "sam": ("search",),
        "nobody": (),
    }
    with store.write() as tx:
        organization = tx.scalars(insert(Organization).values(slug=slug, name="Acme").returning(Organization.id)).one()
        workspace = tx.scalars(
            insert(Workspace).values(id=f"T-{slug}", organization_id=organization).returning(Workspace.id)
        ).one()
        teams, projects, members = {}, {}, {}
        for name in ("payments", "search"):
            values = {"organization_id": organization, "slug": name, "name": name.title()}
            teams[name] = tx.scalars(insert(Team).values(values).returning(Team.id)).one()
            projects[name] = tx.scalars(insert(Project).values(values).returning(Project.id)).one()
            tx.execute(insert(ProjectTeam).values(project_id=projects[name], team_id=teams[name]))
        for name, of_teams in in_teams.items():
            role = "owner" if name == "owner" else "member"
            members[name] = tx.scalars(
                insert(Member)
                .values(organization_id=organization, email=f"{name}@acme.test", name=name.title(), role=role)
                .returning(Member.id)
            ).one()
            for team in of_teams:
                tx.execute(insert(MemberTeam).values(member_id=members[name], team_id=teams[team]))
    return House(store, organization, workspace, teams, projects, members, in_teams)
