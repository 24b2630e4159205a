"""Carries drafts out: puts ids for the names in them, finds the project of an end that names none, tells the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from bot.incidents import alerts
from bot.incidents.alerts import Action, Alert, Outcome
from bot.intake.models import ItemError, ParsedAlert
from bot.intake.tokens import Source
from storage.queries import intake as stored
from storage.queries.intake import IntakeProject, IntakeTokenRow
from storage.rows import AlertKey


@dataclass(frozen=True, slots=True)
class Received:
    """A draft, and when it arrived."""

    draft: ParsedAlert
    at: datetime


def carry_out(
    tx: Connection, token: IntakeTokenRow, drafts: Sequence[Received], now: datetime
) -> list[Outcome | ItemError]:
    """What becomes of drafts that came with a token, in their order."""
    names = _Names(tx, token, [received.draft for received in drafts])
    results: list[Outcome | ItemError] = []
    # An end without a project is about what is open by then, which what came before it may have opened.
    for nameless, run in groupby(drafts, key=lambda received: names.leaves_project_open(received.draft)):
        together = list(run)
        projects = names.projects_of_ends(together) if nameless else [names.project(one.draft) for one in together]
        results += _take(tx, token, names, list(zip(together, projects, strict=True)), now)
    return results


def _take(
    tx: Connection,
    token: IntakeTokenRow,
    names: _Names,
    drafts: Sequence[tuple[Received, IntakeProject | ItemError | None]],
    now: datetime,
) -> Iterator[Outcome | ItemError]:
    good = [names.alert(received, project) for received, project in drafts if isinstance(project, IntakeProject)]
    quiet = {project.id: project.quiet for _, project in drafts if isinstance(project, IntakeProject)}
    outcomes = iter(alerts.take(tx, token.organization_id, good, quiet, now) if good else ())
    for _, project in drafts:
        if isinstance(project, ItemError):
            yield project
        else:
            yield next(outcomes) if project else Outcome(Action.NOTHING, None)


class _Names:
    """The projects and teams that drafts name."""

    def __init__(self, tx: Connection, token: IntakeTokenRow, drafts: Sequence[ParsedAlert]) -> None:
        self._tx = tx
        self._token = token
        # An event names its project on purpose. A label may be there for another reason, and does not count where the
        # token says the project.
        self._on_purpose = token.source == Source.EVENTS
        own = token.project
        named = set() if own else {draft.project for draft in drafts if draft.project}
        found = stored.list_projects(tx, token.organization_id, named) if named else []
        self._projects = {project.slug: project for project in found}
        slugs = {draft.team for draft in drafts if draft.team}
        self._teams = stored.get_team_ids(tx, token.organization_id, slugs) if slugs else {}

    def leaves_project_open(self, draft: ParsedAlert) -> bool:
        """Whether neither a draft nor the token says which project, and none is needed."""
        return not draft.firing and draft.project is None and self._token.project is None

    def project(self, draft: ParsedAlert) -> IntakeProject | ItemError:
        """The project of a draft, or what is wrong with it."""
        own = self._token.project
        if own is not None:
            if self._on_purpose and draft.project not in (None, own.slug):
                return ItemError(draft.item, "project", f"is another; this token is for {own.slug} alone")
            return own
        if draft.project is None:
            return ItemError(draft.item, "project", "is missing, and this token is for no project in particular")
        return self._projects.get(draft.project) or ItemError(draft.item, "project", "is the slug of no project")

    def projects_of_ends(self, ends: Sequence[Received]) -> list[IntakeProject | ItemError | None]:
        """The project of each end that names none: the one where its key is open, else the only one that knows it."""
        token = self._token
        found = stored.get_projects_of_keys(
            self._tx, token.organization_id, token.source, {received.draft.key for received in ends}
        )
        results: list[IntakeProject | ItemError | None] = []
        for received in ends:
            unclosed, known = found[received.draft.key]
            if len(unclosed) > 1:
                message = "is missing, and this key is open in more than one"
                results.append(ItemError(received.draft.item, "project", message))
            else:
                only = unclosed or (known if len(known) == 1 else [])
                results.append(IntakeProject(only[0], "", timedelta()) if only else None)
        return results

    def alert(self, received: Received, project: IntakeProject) -> Alert:
        """A draft with ids for its names. A team that nobody knows is none."""
        draft = received.draft
        return Alert(
            key=AlertKey(self._token.source, project.id, draft.key),
            title=draft.title,
            name=draft.name,
            firing=draft.firing,
            status=draft.status,
            team_id=self._teams.get(draft.team) if draft.team else None,
            environment=draft.environment,
            url=draft.url,
            started=draft.started,
            ended=draft.ended,
            links=draft.links,
            facts=draft.facts,
            received=received.at,
        )
