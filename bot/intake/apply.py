"""Applies parsed alerts: looks up the projects and teams that they name, and passes them to the rules of incidents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from bot.incidents import alerts as rules
from bot.incidents.alerts import Action, Alert, Outcome
from bot.intake.models import ItemError, ParsedAlert
from bot.intake.tokens import Source
from storage.queries import intake as queries
from storage.queries.intake_tokens import IntakeProject, IntakeTokenRow
from storage.rows import AlertKey


@dataclass(frozen=True, slots=True)
class ReceivedAlert:
    """A parsed alert, and when it arrived."""

    parsed: ParsedAlert
    at: datetime


def apply_alerts(
    tx: Connection, token: IntakeTokenRow, alerts: Sequence[ReceivedAlert], now: datetime
) -> list[Outcome | ItemError]:
    """The outcome of each alert that was posted with a token, in their order."""
    names = _Names(tx, token, [alert.parsed for alert in alerts])
    results: list[Outcome | ItemError] = []
    # An end without a project needs to know what is open, and an alert before it may have opened that. So alerts are
    # applied in runs: ends without a project apart from the others.
    for without_project, group in groupby(alerts, key=lambda alert: names.is_end_without_project(alert.parsed)):
        run = list(group)
        projects = (
            names.find_projects_of_ends(run) if without_project else [names.get_project(one.parsed) for one in run]
        )
        results += _apply_run(tx, token, names, list(zip(run, projects, strict=True)), now)
    return results


def _apply_run(
    tx: Connection,
    token: IntakeTokenRow,
    names: _Names,
    alerts: Sequence[tuple[ReceivedAlert, IntakeProject | ItemError | None]],
    now: datetime,
) -> Iterator[Outcome | ItemError]:
    good = [names.build_alert(alert, project) for alert, project in alerts if isinstance(project, IntakeProject)]
    quiet = {project.id: project.quiet for _, project in alerts if isinstance(project, IntakeProject)}
    outcomes = iter(rules.take(tx, token.organization_id, good, quiet, now) if good else ())
    for _, project in alerts:
        if isinstance(project, ItemError):
            yield project
        else:
            yield next(outcomes) if project else Outcome(Action.NOTHING, None)


class _Names:
    """The projects and teams that alerts name. Slugs are in lower case, and may be written in upper case."""

    def __init__(self, tx: Connection, token: IntakeTokenRow, alerts: Sequence[ParsedAlert]) -> None:
        self._tx = tx
        self._token = token
        # The project of an event must fit the token. A label may have another purpose, so it is ignored if the token
        # names a project.
        self._must_fit_token = token.source == Source.EVENTS
        slugs = set() if token.project else {alert.project.lower() for alert in alerts if alert.project}
        projects = queries.list_projects(tx, token.organization_id, slugs) if slugs else []
        self._projects = {project.slug: project for project in projects}
        teams = {alert.team.lower() for alert in alerts if alert.team}
        self._teams = queries.get_team_ids(tx, token.organization_id, teams) if teams else {}

    def is_end_without_project(self, alert: ParsedAlert) -> bool:
        """Whether this is an end, and neither it nor the token names a project."""
        return not alert.firing and alert.project is None and self._token.project is None

    def get_project(self, alert: ParsedAlert) -> IntakeProject | ItemError:
        """The project of an alert, or what is wrong with it."""
        own = self._token.project
        if own is not None:
            if self._must_fit_token and alert.project is not None and alert.project.lower() != own.slug:
                return ItemError(alert.item, "project", f"is another; this token is for {own.slug} alone")
            return own
        if alert.project is None:
            return ItemError(alert.item, "project", "is missing, and this token is for no project in particular")
        found = self._projects.get(alert.project.lower())
        return found or ItemError(alert.item, "project", "is the slug of no project")

    def find_projects_of_ends(self, ends: Sequence[ReceivedAlert]) -> list[IntakeProject | ItemError | None]:
        """The project of each end that names none: the one where its key is open, else the only one that knows it."""
        token = self._token
        found = queries.get_projects_of_keys(
            self._tx, token.organization_id, token.source, {end.parsed.key for end in ends}
        )
        results: list[IntakeProject | ItemError | None] = []
        for end in ends:
            unclosed, known = found[end.parsed.key]
            if len(unclosed) > 1:
                message = "is missing, and this key is open in more than one"
                results.append(ItemError(end.parsed.item, "project", message))
            else:
                only = unclosed or (known if len(known) == 1 else [])
                results.append(IntakeProject(only[0], "", timedelta()) if only else None)
        return results

    def build_alert(self, received: ReceivedAlert, project: IntakeProject) -> Alert:
        """An alert with ids instead of names. An unknown team counts as none."""
        alert = received.parsed
        return Alert(
            key=AlertKey(self._token.source, project.id, alert.key),
            title=alert.title,
            name=alert.name,
            firing=alert.firing,
            status=alert.status,
            team_id=self._teams.get(alert.team.lower()) if alert.team else None,
            environment=alert.environment,
            url=alert.url,
            started=alert.started,
            ended=alert.ended,
            links=alert.links,
            description=alert.description,
            facts=alert.facts,
            labels=alert.labels,
            received=received.at,
        )
