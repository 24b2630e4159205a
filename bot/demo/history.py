"""The incidents of Acme in the week before the demo, written by the same rules as all others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, select

from bot.demo.company import SLUG, WORKSPACE
from bot.incidents import comments, lifecycle
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from storage.models import Incident, Member, Organization, Outbox, Project, Team
from storage.queries import outbox
from storage.rows import NewIncident
from storage.values import Role, Status, StatusMethod


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was done, some minutes after the incident began."""

    minutes: int
    who: str  # the part of their address before the @; "" for the alert itself
    does: str  # seen, comment, warning, critical, resolved
    text: str = ""


@dataclass(frozen=True, slots=True)
class PastIncident:
    """One incident of the week."""

    began: timedelta  # before the demo begins
    project: str
    team: str
    status: Status
    title: str
    entries: tuple[Entry, ...] = ()
    environment: str = "production"
    source: str = "alertmanager"


WEEK = (
    PastIncident(
        timedelta(days=6, hours=21),
        "checkout",
        "payments",
        Status.CRITICAL,
        "Card payments declined for one in five orders",
        (
            Entry(3, "ben", "seen"),
            Entry(6, "ben", "comment", "Our acquirer reports trouble with 3-D Secure. Following their status page."),
            Entry(19, "ada", "seen"),
            Entry(24, "ada", "comment", "Support has a text for customers. Failing over to the second acquirer."),
            Entry(31, "", "warning"),
            Entry(58, "ben", "resolved", "Rates are normal on the second acquirer; back to the first tomorrow."),
        ),
    ),
    PastIncident(
        timedelta(days=6, hours=3),
        "catalogue",
        "search",
        Status.WARNING,
        "Search index is 40 minutes behind",
        (
            Entry(12, "cyn", "seen"),
            Entry(40, "cyn", "comment", "The nightly import held a lock. Letting it finish."),
            Entry(75, "", "resolved"),
        ),
    ),
    PastIncident(
        timedelta(days=5, hours=8),
        "edge",
        "platform",
        Status.WARNING,
        "Certificate of static.acme.test expires in 7 days",
        (
            Entry(55, "dan", "seen"),
            Entry(240, "dan", "resolved", "Renewed. The renewal job runs as the right user again."),
        ),
    ),
    PastIncident(
        timedelta(days=4, hours=15),
        "billing",
        "payments",
        Status.OPEN,
        "Invoices of March carry the old VAT number",
        (
            Entry(20, "ada", "seen"),
            Entry(33, "ben", "seen"),
            Entry(35, "ben", "comment", "214 invoices. I can re-send them once the template is right."),
            Entry(310, "ben", "resolved", "Template mended, all 214 sent again."),
        ),
        source="",
    ),
    PastIncident(
        timedelta(days=3, hours=5),
        "edge",
        "platform",
        Status.CRITICAL,
        "Half of the traffic in eu-west answers 503",
        (
            Entry(2, "dan", "seen"),
            Entry(5, "dan", "comment", "A bad rollout of the load balancers. Rolling back."),
            Entry(9, "", "warning"),
            Entry(14, "", "resolved"),
            Entry(90, "dan", "comment", "The rollout now waits for the health of the first region."),
        ),
    ),
    PastIncident(
        timedelta(days=2, hours=2),
        "catalogue",
        "search",
        Status.WARNING,
        "Suggestions are slower than 800 ms",
        (
            Entry(31, "cyn", "seen"),
            Entry(47, "cyn", "comment", "One shard had lost its cache after a restart; warming it."),
        ),
    ),
    PastIncident(
        timedelta(days=1, hours=4),
        "checkout",
        "payments",
        Status.WARNING,
        "Refunds wait longer than an hour",
        (Entry(25, "ben", "seen"),),
    ),
    PastIncident(
        timedelta(hours=6),
        "edge",
        "platform",
        Status.OPEN,
        "Log disk of edge-7 is 82% full",
        environment="staging",
        source="grafana",
    ),
)


def has_history(connection: Connection) -> bool:
    """Whether Acme has incidents already."""
    of_acme = select(Incident.id).join(Organization, Organization.id == Incident.organization_id)
    return bool(connection.scalar(select(exists(of_acme.where(Organization.slug == SLUG)))))


def write_history(tx: Connection, now: datetime) -> None:
    """Writes the week before `now`. Nobody is told of it, as that was done when it happened; what is still open gets
    its card.
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
            visible=tuple(projects.values()),
            sees_all=True,
            shared_channels=False,
            timezone="UTC",
        )
        for who, (member_id, name, email) in members.items()
    }
    for past in WEEK:
        _write_incident(tx, past, now - past.began, organization.id, projects[past.project], teams[past.team], people)
    of_acme = select(Incident.id).where(Incident.organization_id == organization.id)
    tx.execute(delete(Outbox).where(Outbox.incident_id.in_(of_acme)))
    for incident_id in tx.scalars(of_acme.where(Incident.status != Status.CLOSED).order_by(Incident.id)).all():
        outbox.record_change(tx, incident_id, now=now)


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
            source=past.source or None,
            date_started=began,
            date_detected=began,
        ),
        began,
    )
    statuses = {"warning": Status.WARNING, "critical": Status.CRITICAL, "resolved": Status.CLOSED}
    for entry in past.entries:
        at = began + timedelta(minutes=entry.minutes)
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
