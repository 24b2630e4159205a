"""Compares the silences here with those in Alertmanager once, and makes each side follow the other.

What starts while it is silenced there is never sent, and neither is an end. So both are found in its list of alerts,
before the end of a silence is followed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.alertmanager.attribution import SilencedAlert, attribute_alerts
from bot.alertmanager.client import AlertmanagerClient, AlertmanagerRefused, ForeignAlert, ForeignSilence
from bot.incidents import alerts as alert_rules
from bot.incidents import silences as rules
from bot.incidents.alerts import Alert
from bot.incidents.limits import MAX_REASON_LENGTH
from bot.incidents.markup import replace_unstorable
from bot.intake import alertmanager as intake
from bot.intake.apply import ReceivedAlert, apply_alerts
from bot.people.notices import notify_maker
from storage.engine import Store
from storage.queries import alertmanager as queries
from storage.queries.intake_tokens import IntakeProject, IntakeTokenRow
from storage.queries.silences import ALERTMANAGER
from storage.silence_rows import KnownAlert, Receiver, StandingSilence
from storage.values import Status

log = structlog.get_logger(__name__)

# After a start, Alertmanager knows an alert only once Prometheus has sent it again, which takes up to a minute or so.
SETTLED_AFTER = timedelta(minutes=5)
MOST_CHANGES = 5  # in Alertmanager, in one pass
_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class _Seen:
    """What Alertmanager says."""

    silences: Mapping[str, ForeignSilence]
    alerts: Sequence[ForeignAlert]
    settled: bool  # whether an alert that it does not know has ended


def synchronize(
    store: Store,
    client: AlertmanagerClient,
    now: datetime,
    *,
    settled_after: timedelta = SETTLED_AFTER,
    refused: set[int],
) -> None:
    """Compares both sides once. Raises AlertmanagerAway, DatabaseAway, Contended.

    `refused` has the ids of silences that Alertmanager refuses; what it refuses is added.
    """
    with store.read() as connection:
        standing = queries.list_standing_silences(connection)
        receivers = queries.list_receivers(connection)
    silences = {one.id: one for one in client.list_silences()}
    if not standing and not (receivers and any(one.active for one in silences.values())):
        return
    started = client.get_version().started
    seen = _Seen(silences, client.list_alerts(), settled=now - started >= settled_after)
    known = _list_known(store, seen, standing)
    _take_all_alerts(store, seen, standing, receivers, known, now)
    _Changes(store, client, seen, known, now, refused).follow(standing)


def _list_known(store: Store, seen: _Seen, standing: Sequence[StandingSilence]) -> list[KnownAlert]:
    """What is stored about the alerts there: all of them if a silence has to be made there, else the silenced ones."""
    pending = any(one.alertmanager_id is None for one in standing)
    with store.read() as connection:
        return queries.list_known_alerts(
            connection, {alert.key for alert in seen.alerts if pending or alert.silenced_by}
        )


# --- alerts ------------------------------------------------------------------------------------------------


def _take_all_alerts(
    store: Store,
    seen: _Seen,
    standing: Sequence[StandingSilence],
    receivers: Sequence[Receiver],
    known: Sequence[KnownAlert],
    now: datetime,
) -> None:
    """Has the incidents of each organization follow the alerts that are silenced there."""
    own = {one.alertmanager_id: one for one in standing if one.alertmanager_id and one.maker is not None}
    strangers = _find_strangers(seen.silences, standing)
    found = attribute_alerts([alert for alert in seen.alerts if alert.silenced_by], known, receivers, own)
    for organization_id in sorted({*found, *(one.organization_id for one in standing)}):
        with store.write() as tx:
            _take_alerts(tx, organization_id, found.get(organization_id, ()), seen, own, strangers, now)


def _find_strangers(
    silences: Mapping[str, ForeignSilence], standing: Sequence[StandingSilence]
) -> dict[str, ForeignSilence]:
    """Returns the silences there that may be somebody else's, by their ids."""
    # What was made there for a silence of ours, by a process that died before it recorded that, is not somebody else's.
    marks = tuple(_build_mark(one) for one in standing if one.alertmanager_id is None)
    return {id_: one for id_, one in silences.items() if not (marks and one.comment.endswith(marks))}


def _take_alerts(
    tx: Connection,
    organization_id: int,
    silenced: Sequence[SilencedAlert],
    seen: _Seen,
    own: Mapping[str, StandingSilence],
    strangers: Mapping[str, ForeignSilence],
    now: datetime,
) -> None:
    """Has this organization's incidents follow the alerts that Alertmanager keeps to itself, and be held."""
    mine: dict[int, set[str]] = defaultdict(set)
    theirs: dict[str, set[str]] = defaultdict(set)
    for one in silenced:
        for silence_id in one.alert.silenced_by:
            if silence_id not in own:
                theirs[silence_id].add(one.alert.key)
            elif own[silence_id].organization_id == organization_id:
                mine[own[silence_id].id].add(one.alert.key)
    queries.add_keys(tx, organization_id, mine)
    grown = [
        id_
        for silence_id, keys in theirs.items()
        if silence_id in strangers and (id_ := _save(tx, organization_id, strangers[silence_id], keys, now)) is not None
    ]
    _take_starts(tx, organization_id, [one for one in silenced if one.is_new], now)
    for id_ in grown:
        rules.hold_matching(tx, organization_id, id_, now)
    if seen.settled:
        firing = {alert.key for alert in seen.alerts}
        ended = [key for key in queries.list_open_alerts(tx, organization_id) if key.key not in firing]
        ends = [Alert(key, None, firing=False, status=Status.OPEN) for key in ended]
        if ends:
            alert_rules.take(tx, organization_id, ends, {}, now)


def _save(tx: Connection, organization_id: int, silence: ForeignSilence, keys: set[str], now: datetime) -> int | None:
    if silence.ends <= now:
        return None
    return queries.save_silence_of_alertmanager(
        tx,
        organization_id,
        silence.id,
        keys=keys,
        made_by=_on_one_line(silence.created_by)[:_NAME_LENGTH] or "somebody",
        reason=_on_one_line(silence.comment)[:MAX_REASON_LENGTH] or None,
        ends=silence.ends,
        now=now,
    )


def _on_one_line(text: str) -> str:
    return " ".join(replace_unstorable(text).split())


def _take_starts(tx: Connection, organization_id: int, silenced: Sequence[SilencedAlert], now: datetime) -> None:
    by_project: dict[str, list[Any]] = defaultdict(list)
    for one in silenced:
        by_project[one.project].append({**one.alert.payload, "status": "firing"})
    for slug, payloads in sorted(by_project.items()):
        project = queries.find_project(tx, organization_id, slug)
        if project is None:
            continue
        parsed = intake.parse({"alerts": payloads}, now)
        received = [ReceivedAlert(alert, now) for alert in parsed.alerts]
        if received:
            apply_alerts(tx, _build_token(organization_id, project), received, now)


def _build_token(organization_id: int, project: IntakeProject) -> IntakeTokenRow:
    """What the intake needs to know of who sent an alert."""
    return IntakeTokenRow(0, organization_id, project, ALERTMANAGER, None, None, None, None, incidents=True)


# --- silences ----------------------------------------------------------------------------------------------


class _Changes:
    """Makes each side's silences follow the other's, with a few changes in Alertmanager in one pass."""

    def __init__(
        self,
        store: Store,
        client: AlertmanagerClient,
        seen: _Seen,
        known: Sequence[KnownAlert],
        now: datetime,
        refused: set[int],
    ) -> None:
        self._store = store
        self._client = client
        self._seen = seen
        self._known = known
        self._now = now
        self._refused = refused
        self._left = MOST_CHANGES

    def follow(self, standing: Sequence[StandingSilence]) -> None:
        """Follows what changed about each silence."""
        ours = defaultdict(list)
        for one in standing:
            ours[one.alertmanager_id].append(one)
        for one in standing:
            if one.id in self._refused:
                continue
            there = self._seen.silences.get(one.alertmanager_id or "")
            try:
                if one.alertmanager_id is None:
                    self._make(one)
                elif not one.in_force:
                    self._end_there(one, there, alone=len(ours[one.alertmanager_id]) == 1)
                elif not one.maker_sees:
                    self._withdraw(one, there)
                else:
                    self._follow_there(one, there)
            except AlertmanagerRefused as error:
                self._refused.add(one.id)
                log.warning("Alertmanager refuses a change of a silence", silence=one.id, reason=str(error))

    def _make(self, silence: StandingSilence) -> None:
        """Makes a silence there, if its matchers pin down an alert of one project."""
        found = _find_matchers(silence, self._seen.alerts, self._known)
        if found is None or not silence.maker_sees or silence.ends <= self._now or not self._left:
            return
        # A process may have died after it had made the silence there, and before it recorded that.
        mark = _build_mark(silence)
        made = [one.id for one in self._seen.silences.values() if one.active and one.comment.endswith(mark)]
        if made:
            alertmanager_id = made[0]
        else:
            self._left -= 1
            alertmanager_id = self._client.create_silence(
                found.labels,
                starts=self._now,
                ends=silence.ends,
                created_by=silence.maker or "Tocsin",
                comment=f"{silence.reason or 'Silenced in Slack.'} {mark}",
            )
        with self._store.write() as tx:
            queries.set_alertmanager_id(tx, silence, alertmanager_id)
            queries.add_keys(tx, silence.organization_id, {silence.id: found.keys})

    def _end_there(self, silence: StandingSilence, there: ForeignSilence | None, *, alone: bool) -> None:
        """Ends a silence there that has ended here, unless it silences alerts of others."""
        if there is not None and not there.expired and alone and not self._concerns_others(silence):
            if not self._left:
                return
            self._left -= 1
            self._client.expire_silence(there.id)
        if self._seen.settled:
            with self._store.write() as tx:
                queries.set_done(tx, silence)

    def _concerns_others(self, silence: StandingSilence) -> bool:
        if silence.maker is not None:
            return False
        keys = {alert.key for alert in self._seen.alerts if silence.alertmanager_id in alert.silenced_by}
        return not keys <= set(silence.alertmanager_keys)

    def _withdraw(self, silence: StandingSilence, there: ForeignSilence | None) -> None:
        """Ends a silence there whose maker no longer sees its project."""
        if there is not None and not there.expired:
            if not self._left:
                return
            self._left -= 1
            self._client.expire_silence(there.id)
        with self._store.write() as tx:
            queries.set_alertmanager_id(tx, silence, None)

    def _follow_there(self, silence: StandingSilence, there: ForeignSilence | None) -> None:
        """Follows what was changed there about a silence that stands on both sides."""
        if there is None and silence.maker is not None:
            # Alertmanager has lost it, with its data: it is made again.
            with self._store.write() as tx:
                queries.set_alertmanager_id(tx, silence, None)
        elif there is None or there.expired:
            self._end_here(silence)
        elif abs(there.ends - silence.ends) >= timedelta(seconds=1):
            with self._store.write() as tx:
                queries.set_end(tx, silence, there.ends)
                rules.hold_matching(tx, silence.organization_id, silence.id, self._now)  # their cards show the new end

    def _end_here(self, silence: StandingSilence) -> None:
        with self._store.write() as tx:
            ended = rules.end_followed(tx, silence.organization_id, silence.id, self._now)
            if ended is not None:
                notify_maker(tx, ended, self._now)
            if self._seen.settled:
                queries.set_done(tx, silence)


@dataclass(frozen=True, slots=True)
class _Matchers:
    """What a silence matches there."""

    labels: Mapping[str, str]
    keys: Set[str]  # of the alerts that it matches now


def _build_mark(silence: StandingSilence) -> str:
    """The end of the comment of a silence there that stands for one here."""
    return f"[Tocsin silence {silence.organization_id}/{silence.id}]"


def _find_matchers(
    silence: StandingSilence, alerts: Sequence[ForeignAlert], known: Sequence[KnownAlert]
) -> _Matchers | None:
    """Returns labels that only alerts of the silence's project have; None if there are none, or its alert is not there.

    Their values are those that Alertmanager has, to the last blank.
    """
    alert = next((one for one in alerts if one.key == silence.alert_key), None)
    if alert is None:
        return None
    matchers = dict(alert.labels)
    if chosen := silence.matchers.get("labels"):
        # Alerts of other projects may have the same labels, unless they name the project.
        if (
            alert.labels.get("project") != silence.project
            or "project" not in chosen
            or not chosen.keys() <= matchers.keys()
        ):
            return None
        matchers = {name: matchers[name] for name in chosen}
    matched = [one for one in alerts if matchers.items() <= one.labels.items()]
    keys = {one.key for one in matched}
    elsewhere = any(
        (one.organization_id, one.project) != (silence.organization_id, silence.project)
        for one in known
        if one.key in keys
    )
    named = {one.labels.get("project") for one in matched}
    return _Matchers(matchers, keys) if len(named) == 1 and not elsewhere else None
