"""Whose alert it is that Alertmanager silences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.alertmanager.attribution import attribute_alerts
from bot.alertmanager.client import ForeignAlert
from storage.silence_rows import KnownAlert, Receiver, StandingSilence

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def alert(**labels: str) -> ForeignAlert:
    return ForeignAlert("key", labels, NOW, ["there"], {})


def known(organization_id: int, fired: datetime = NOW, *, ended: bool = False) -> KnownAlert:
    return KnownAlert(organization_id, 1, "checkout", "key", fired, ended)


def found(
    one: ForeignAlert, known: list[KnownAlert], receivers: list[Receiver], own: StandingSilence | None = None
) -> dict[int, list[tuple[str, bool]]]:
    made = attribute_alerts([one], known, receivers, {"there": own} if own else {})
    return {id_: [(each.project, each.is_new) for each in each_of] for id_, each_of in made.items() if each_of}


def test_an_alert_that_is_known_stays_in_its_project() -> None:
    assert found(alert(), [known(1)], [Receiver(1, None)]) == {1: [("checkout", False)]}
    earlier = NOW - timedelta(hours=1)
    assert found(alert(), [known(1, earlier)], [Receiver(1, None)]) == {1: [("checkout", True)]}
    assert found(alert(), [known(1, ended=True)], [Receiver(1, None)]) == {1: [("checkout", True)]}


def test_a_new_alert_goes_where_the_intake_would_put_it() -> None:
    assert found(alert(project="refunds"), [], [Receiver(1, None)]) == {1: [("refunds", True)]}
    assert found(alert(project="refunds"), [], [Receiver(1, "checkout")]) == {1: [("checkout", True)]}
    assert found(alert(), [], [Receiver(1, "checkout"), Receiver(1, "refunds")]) == {}
    assert found(alert(), [], [Receiver(1, None)]) == {}


def test_of_several_organizations_it_belongs_to_those_that_know_this_firing() -> None:
    several = [Receiver(1, "checkout"), Receiver(2, "checkout")]
    earlier = NOW - timedelta(hours=1)
    assert found(alert(), [known(1), known(2, earlier)], several) == {1: [("checkout", False)]}
    assert found(alert(project="checkout"), [], several) == {}


def test_of_several_organizations_it_belongs_to_the_one_that_silenced_it() -> None:
    own = StandingSilence(2, 7, "Ada", {}, None, NOW, True, True, "refunds", "key", "there", ["key"])
    assert found(alert(), [], [Receiver(1, "checkout"), Receiver(2, "checkout")], own) == {2: [("refunds", True)]}
