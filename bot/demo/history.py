"""Writes the two weeks before the demo to the database, by the same rules as everything else."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, select

from bot.demo.company import SLUG, WORKSPACE
from bot.demo.past_incidents import PastIncident, parse_past_incidents
from bot.incidents import comments, lifecycle
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from storage.models import Incident, Member, Organization, Outbox, Project, Team
from storage.queries import outbox
from storage.rows import NewIncident
from storage.values import Role, Status, StatusMethod


def has_history(connection: Connection) -> bool:
    """Whether Acme has incidents already."""
    of_acme = select(Incident.id).join(Organization, Organization.id == Incident.organization_id)
    return bool(connection.scalar(select(exists(of_acme.where(Organization.slug == SLUG)))))


def write_history(tx: Connection, now: datetime) -> None:
    """Writes the two weeks before `now`. Nobody is notified of them, as that was done when they happened; what is still
    open gets its card.
    """
    organization = tx.execute(select(Organization.id, Organization.name).where(Organization.slug == SLUG)).one()
    projects = _find_ids(tx, Project, organization.id)
    teams = _find_ids(tx, Team, organization.id)
    members = {
        email.split("@")[0]: (member_id, name, email)
        for member_id, name, email in tx.execute(
            select(Member.id, Member.name, Member.email).where(Member.organization_id == organization.id)
        )
    }
    people = {
        who: Access(
            organization_id=organization.id,
            organization_name=organization.name,
            workspace_id=WORKSPACE,
            member_id=member_id,
            name=name,
            email=email,
            role=Role.OWNER,
            superuser=False,
            team_ids=frozenset(),
            loaded_project_ids=tuple(projects.values()),
            sees_all=True,
            shared_channels=False,
            timezone="UTC",
        )
        for who, (member_id, name, email) in members.items()
    }
    for past in parse_past_incidents():
        _write_incident(tx, past, now - past.ago, organization.id, projects[past.project], teams[past.team], people)
    of_acme = select(Incident.id).where(Incident.organization_id == organization.id)
    tx.execute(delete(Outbox).where(Outbox.incident_id.in_(of_acme)))
    for incident_id in tx.scalars(of_acme.where(Incident.status != Status.CLOSED).order_by(Incident.id)).all():
        outbox.record_change(tx, organization.id, incident_id, now=now)


def _find_ids(tx: Connection, table: type[Project] | type[Team], organization_id: int) -> dict[str, int]:
    rows = tx.execute(select(table.slug, table.id).where(table.organization_id == organization_id))
    return {row.slug: row.id for row in rows}


def _write_incident(
    tx: Connection,
    past: PastIncident,
    began: datetime,
    organization_id: int,
    project_id: int,
    team_id: int,
    people: dict[str, Access],
) -> None:
    url = f"https://monitoring.acme.test/alerts/{past.project}" if past.source else None
    incident = lifecycle.open_incident(
        tx,
        organization_id,
        NewIncident(
            project_ids=[project_id],
            title=past.title,
            status=past.status,
            method=StatusMethod.RULE_TRIGGERED if past.source else StatusMethod.MANUAL,
            team_id=team_id,
            environment=past.environment,
            url=url,
            source=past.source or None,
            date_started=began,
            date_detected=began,
            links=past.links,
            facts=past.facts,
        ),
        began,
    )
    statuses = {"warning": Status.WARNING, "resolved": Status.CLOSED}
    for entry in past.entries:
        at = began + entry.after
        access = people.get(entry.who)
        comment = CommentText(entry.text) if entry.text else None
        if entry.does == "seen" and access:
            lifecycle.acknowledge(tx, access, incident.identifier, at)
        elif entry.does == "comment" and access and comment:
            comments.add(tx, access, incident.identifier, comment, at)
        else:
            method = StatusMethod.MANUAL if access else StatusMethod.RULE_TRIGGERED
            incident = lifecycle.change_status(
                tx, incident, statuses[entry.does], method, at, access=access, comment=comment
            )
