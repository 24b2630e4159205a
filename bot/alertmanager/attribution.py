"""Finds the organization and project of the alerts that Alertmanager silences.

Others listen to the same Alertmanager, and another organization may have alerts of the same labels from another one. So
with several organizations an alert belongs to those that know this very firing, or have silenced it themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.alertmanager.client import ForeignAlert
from storage.silence_rows import KnownAlert, Receiver, StandingSilence

# The start of a firing is stored as Alertmanager sends it, to the microsecond.
_SAME_START = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SilencedAlert:
    """An alert that Alertmanager silences, in one project that it concerns."""

    alert: ForeignAlert
    project: str  # slug
    is_new: bool  # whether this firing is not known yet


def attribute_alerts(
    alerts: Sequence[ForeignAlert],
    known: Sequence[KnownAlert],
    receivers: Sequence[Receiver],
    own: Mapping[str, StandingSilence],
) -> dict[int, list[SilencedAlert]]:
    """Returns the silenced alerts by the id of the organization.

    `own` are the silences that were made here, by their id there. An alert whose project cannot be told is left out;
    it arrives when its silence ends.
    """
    by_key: dict[tuple[int, str], list[KnownAlert]] = defaultdict(list)
    for one in known:
        by_key[one.organization_id, one.key].append(one)
    projects: dict[int, list[str | None]] = defaultdict(list)
    for receiver in receivers:
        projects[receiver.organization_id].append(receiver.project)
    found: dict[int, list[SilencedAlert]] = defaultdict(list)
    for alert in alerts:
        for organization_id, receiving in projects.items():
            here = by_key[organization_id, alert.key]
            if len(projects) > 1:
                here = [one for one in here if _is_this_firing(one, alert)]
            mine = [own[id_] for id_ in alert.silenced_by if id_ in own]
            made_here = [one.project for one in mine if one.organization_id == organization_id and one.project]
            found[organization_id] += _attribute(alert, here, made_here, receiving if len(projects) == 1 else ())
    return found


def _attribute(
    alert: ForeignAlert, known: Sequence[KnownAlert], made_here: Sequence[str], receiving: Sequence[str | None]
) -> list[SilencedAlert]:
    if known:
        return [SilencedAlert(alert, one.project, is_new=one.ended or not _is_this_firing(one, alert)) for one in known]
    if made_here:
        return [SilencedAlert(alert, made_here[0], is_new=True)]
    # As the intake does: the token's project, or else the one that the alert names.
    project = receiving[0] if len(receiving) == 1 and receiving[0] else None
    if project is None and None in receiving:
        project = alert.labels.get("project")
    return [SilencedAlert(alert, project, is_new=True)] if project else []


def _is_this_firing(known: KnownAlert, alert: ForeignAlert) -> bool:
    return known.fired is not None and abs(known.fired - alert.started) <= _SAME_START
