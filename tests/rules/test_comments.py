"""Comments: who may write, mention, change and delete, and who follows because of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, update

from bot.incidents import comments, lifecycle
from bot.incidents.comments import CommentText
from bot.incidents.errors import CommentChanged, CommentGone, InvalidInput, NotFound, NotYourComment, Refusal
from storage.models import CommentMention, IncidentActivity, IncidentSubscription, Member, Outbox
from storage.values import ActivityType
from tests.house import NOW, House


def add(house: House, name: str, written: CommentText) -> int:
    with house.store.write() as tx:
        return comments.add(tx, house.access(name), 1, written, NOW)[1]


def followers(house: House) -> set[str]:
    names = {member_id: name for name, member_id in house.members.items()}
    with house.store.read() as connection:
        return {names[member_id] for member_id in connection.scalars(select(IncidentSubscription.member_id))}


def told(house: House) -> int:
    with house.store.read() as connection:
        return connection.scalars(select(func.count()).select_from(Outbox)).one()


def test_a_comment_subscribes_its_author_and_whom_it_mentions(house: House) -> None:
    house.open()
    add(house, "pia", CommentText("look", frozenset({house.members["owner"]})))
    assert followers(house) == {"pia", "owner"}


def test_a_mentioned_team_stands_for_its_members_who_see_it(house: House) -> None:
    house.open()
    with house.store.write() as tx:
        tx.execute(update(Member).where(Member.id == house.members["paul"]).values(date_removed=NOW))
    add(house, "owner", CommentText("look", team_ids=frozenset({house.teams["payments"]})))
    assert followers(house) == {"owner", "pia"}


def test_mentions_of_who_cannot_see_it_are_refused_by_name_and_nothing_is_written(house: House) -> None:
    incident = house.open()
    before, waiting = house.log(incident), told(house)
    blind = CommentText(
        "look",
        frozenset({house.members["sam"], house.members["pia"], house.members["nobody"]}),
        frozenset({house.teams["search"], house.teams["payments"]}),
    )
    with pytest.raises(Refusal, match="Nobody, Sam and the team Search cannot see #1"):
        add(house, "pia", blind)
    with pytest.raises(Refusal, match="cannot see"), house.store.write() as tx:
        lifecycle.resolve(tx, house.access("pia"), 1, NOW, blind)
    assert house.log(incident) == before and followers(house) == set() and told(house) == waiting


@pytest.mark.parametrize("text", ["", " \u00a0\n", "x" * 8001])
def test_too_short_and_too_long_is_refused(house: House, text: str) -> None:
    house.open()
    with pytest.raises(InvalidInput):
        add(house, "pia", CommentText(text))
    add(house, "pia", CommentText("x" * 8000))


def test_who_does_not_see_it_cannot_comment(house: House) -> None:
    house.open()
    with pytest.raises(NotFound):
        add(house, "sam", CommentText("hello"))


def test_each_comment_is_to_be_told(house: House) -> None:
    house.open()
    before = told(house)
    add(house, "pia", CommentText("hello"))
    assert told(house) == before + 1


def test_only_the_author_and_a_superuser_change_and_delete(house: House) -> None:
    incident = house.open()
    comment = add(house, "pia", CommentText("hello"))
    for name in ("paul", "owner"):
        for change in (
            lambda tx, who: comments.edit(tx, who, 1, comment, CommentText("mine"), NOW),
            lambda tx, who: comments.delete(tx, who, 1, comment, NOW),
            lambda tx, who: comments.get_own_comment(tx, who, 1, comment),
        ):
            with pytest.raises(NotYourComment), house.store.write() as tx:
                change(tx, house.access(name))
    with house.store.write() as tx:
        comments.edit(tx, house.access("pia"), 1, comment, CommentText("better"), NOW)
    with house.store.write() as tx:
        comments.edit(tx, house.access("paul", superuser=True), 1, comment, CommentText("best"), NOW)
    assert house.log(incident)[-1] == (ActivityType.COMMENT, None, None, "best")
    with house.store.write() as tx:
        comments.delete(tx, house.access("paul", superuser=True), 1, comment, NOW)
    assert len(house.log(incident)) == 2


def test_nothing_else_in_the_log_is_changed_or_deleted(house: House) -> None:
    incident = house.open()
    with house.store.write() as tx:
        lifecycle.resolve(tx, house.access("pia"), 1, NOW, CommentText("with a comment"))
    before = house.log(incident)
    with house.store.read() as connection:
        entries = connection.scalars(select(IncidentActivity.id)).all()
    for entry in [*entries, 0, 2**62]:
        with pytest.raises(CommentGone), house.store.write() as tx:
            comments.edit(tx, house.access("pia", superuser=True), 1, entry, CommentText("x"), NOW)
        with pytest.raises(CommentGone), house.store.write() as tx:
            comments.delete(tx, house.access("pia", superuser=True), 1, entry, NOW)
    assert house.log(incident) == before


def test_a_comment_is_not_reached_through_another_incident(house: House) -> None:
    house.open()
    house.open("Another")
    comment = add(house, "pia", CommentText("hello"))
    with pytest.raises(CommentGone), house.store.write() as tx:
        comments.delete(tx, house.access("pia"), 2, comment, NOW)


def test_an_edit_subscribes_whom_it_newly_mentions_and_nobody_else(house: House) -> None:
    house.open()
    comment = add(house, "pia", CommentText("look", frozenset({house.members["owner"]})))
    with house.store.write() as tx:
        tx.execute(delete(IncidentSubscription))
        both = frozenset({house.members["owner"], house.members["paul"]})
        comments.edit(tx, house.access("pia"), 1, comment, CommentText("look again", both), NOW)
    assert followers(house) == {"paul"}
    with house.store.read() as connection:
        assert set(connection.scalars(select(CommentMention.member_id))) == set(both)


def test_an_edit_of_what_has_changed_meanwhile_is_refused(house: House) -> None:
    incident = house.open()
    comment = add(house, "pia", CommentText("hello"))
    pia = house.access("pia")
    with house.store.write() as tx:
        version = comments.version_of(comments.get_own_comment(tx, pia, 1, comment)[1])
        comments.edit(tx, pia, 1, comment, CommentText("one"), NOW + timedelta(seconds=1), version=version)
    with pytest.raises(CommentChanged), house.store.write() as tx:
        comments.edit(tx, pia, 1, comment, CommentText("two"), NOW + timedelta(seconds=2), version=version)
    assert house.log(incident)[-1][3] == "one"


def test_a_deleted_comment_leaves_no_text_and_no_mention_behind(house: House) -> None:
    house.open()
    comment = add(house, "pia", CommentText("secret", frozenset({house.members["owner"]}), rich_text={"a": "secret"}))
    with house.store.write() as tx:
        comments.delete(tx, house.access("pia"), 1, comment, NOW)
    with house.store.read() as connection:
        row = connection.execute(select(IncidentActivity.__table__).where(IncidentActivity.id == comment)).one()
        assert (row.comment, row.rich_text, row.date_deleted) == (None, None, NOW)
        assert connection.scalars(select(CommentMention.id)).all() == []
    with pytest.raises(CommentGone), house.store.write() as tx:
        comments.delete(tx, house.access("pia"), 1, comment, NOW)
