"""Whatever people write in: what the bot hands to Slack to keep is counted in characters, as Slack counts it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from storage.queries import form_texts
from tests.stories.conftest import World

SCRIPTS = {
    "latin": "The database of the checkout is on fire. ",
    "cyrillic": "База данных кассы горит, помогите. ",
    "cjk": "結帳資料庫著火了請幫忙",
    "emoji": "🔥🚒👩🏽‍🚒 ",
    "quotes": '"so" \\\\ they said ',
}


def text_in(script: str, length: int) -> str:
    unit = SCRIPTS[script]
    return (unit * (length // len(unit) + 1))[:length].strip()


def comments_of(world: World) -> list[str]:
    with world.store.read() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT comment FROM incident_activity WHERE comment IS NOT NULL ORDER BY id"
            ).scalars()
        )


@pytest.mark.parametrize("script", sorted(SCRIPTS))
@pytest.mark.parametrize("length", [600, 2000, 6000])
def test_a_message_becomes_a_comment_whatever_it_is_written_in(world: World, script: str, length: int) -> None:
    world.declare("Checkout is down")
    text = text_in(script, length)
    said = world.dan.say(world.cast.random, text)
    world.ben.message_shortcut(said, "add_to_incident")
    form = world.ben.wait_for_form("Add to incident")
    form.choose("Incident", "#1 Checkout is down")
    assert form.submit().closed
    (comment,) = comments_of(world)
    quoted = [line.removeprefix("&gt; ") for line in comment.splitlines()[1:]]
    assert quoted == text.splitlines()


def test_a_long_message_is_added_by_nobody_but_who_chose_it(world: World) -> None:
    world.declare("Checkout is down")
    said = world.dan.say(world.cast.random, text_in("cyrillic", 3000))
    world.ben.message_shortcut(said, "add_to_incident")
    form = world.ben.wait_for_form("Add to incident")
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE form_text SET member_id = (SELECT id FROM member WHERE email = 'cyn@acme.test')")
    form.choose("Incident", "#1 Checkout is down")
    assert "I no longer have this message" in str(form.submit().errors)
    assert comments_of(world) == []


def test_what_a_form_has_kept_is_forgotten_after_a_day(world: World) -> None:
    said = world.dan.say(world.cast.random, text_in("cyrillic", 3000))
    world.ben.message_shortcut(said, "add_to_incident")
    world.ben.wait_for_form("Add to incident")
    with world.store.read() as connection:
        kept = connection.exec_driver_sql("SELECT date_added FROM form_text").scalar_one()
    for later, left in ((timedelta(hours=23), 1), (timedelta(hours=25), 0)):
        world.bot.delivery.clean_up(kept + later)
        with world.store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM form_text").scalar_one() == left
    assert timedelta(days=1) == form_texts.KEPT_FOR


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_list_with_words_in_any_script_is_turned_and_filtered(world: World, script: str) -> None:
    text = text_in(script, 200).replace('"', "")
    words = [text[place : place + 50].strip() for place in range(0, len(text), 50)]
    title = " ".join(words)
    for _ in range(11):
        world.declare(title)
    page = world.see(world.ada, "list " + " ".join(f'"{word}"' for word in words))
    world.ada.press(page, "Next")
    page.wait_for(lambda message: "#1 " in message.text and "#11 " not in message.text)


def test_words_that_no_button_could_keep_are_refused_and_given_back(world: World) -> None:
    words = " ".join(f'"{text_in("cyrillic", 90)}{number}"' for number in range(10))
    teams = "team:" + ",".join(f"{'t' * 45}{number}" for number in range(20))
    answer = world.ask(world.ada, f"list {words} {teams}")
    assert "filters are too long" in answer.text
    assert teams in answer.text


def test_private_metadata_is_json_of_readable_characters(world: World) -> None:
    said = world.dan.say(world.cast.random, text_in("cjk", 500))
    world.ben.message_shortcut(said, "add_to_incident")
    world.ben.wait_for_form("Add to incident")
    opened = [one for one in world.slack.traffic if one.name == "views.open"][-1]
    view = opened.sent["view"]
    metadata = (view if isinstance(view, dict) else json.loads(view))["private_metadata"]
    assert json.loads(metadata)["x"] in metadata
