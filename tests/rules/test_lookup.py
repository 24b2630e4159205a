"""Finding the card of an incident for somebody."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import insert

from bot.incidents import lookup
from storage.models import Destination, Post, ProjectChannel
from storage.rows import IncidentHead
from tests.house import House


def post_card(house: House, incident: IncidentHead, project: str, channel_id: str, ts: str | None) -> None:
    """A card in a channel of a project; without a `ts` it has not been sent yet."""
    with house.store.write() as tx:
        tx.execute(insert(ProjectChannel).values(project_id=house.projects[project], channel_id=channel_id))
        destination = insert(Destination).values(workspace_id="T-acme", channel_id=channel_id)
        destination_id = tx.scalars(destination.returning(Destination.id)).one()
        tx.execute(insert(Post).values(destination_id=destination_id, kind="card", incident_id=incident.id, ts=ts))


def find_card(house: House, name: str, incident: IncidentHead) -> tuple[str, str] | None:
    with house.store.read() as connection:
        # Cards are linked in the workspace in which the caller reads.
        return lookup.find_card(connection, replace(house.access(name), workspace_id="T-acme"), incident)


def test_a_card_is_found_in_a_channel_whose_project_the_caller_sees(house: House) -> None:
    incident = house.open("Everything fails", "payments", "search")
    post_card(house, incident, "search", "C0002", "2.0")
    post_card(house, incident, "payments", "C0001", "1.0")
    assert find_card(house, "pia", incident) == ("C0001", "1.0")
    assert find_card(house, "sam", incident) == ("C0002", "2.0")
    assert find_card(house, "owner", incident) == ("C0002", "2.0")  # the oldest
    assert find_card(house, "nobody", incident) is None


def test_a_card_that_slack_does_not_have_yet_is_not_found(house: House) -> None:
    incident = house.open()
    post_card(house, incident, "payments", "C0001", None)
    assert find_card(house, "pia", incident) is None
