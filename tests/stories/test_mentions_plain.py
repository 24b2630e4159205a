"""Names that Slack leaves plain: typed by hand, pasted, picked by nobody. One who fits is mentioned, several are
asked about, and what only looks like a name stays what it is.
"""

from __future__ import annotations

import pytest

from sandbox import Person
from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_cards import card

TWO_ADAS = (
    ORGANIZATION
    + """  - {email: lovelace@acme.test, name: Ada Love, role: member, teams: [payments]}
  - {email: jose.nunez@acme.test, name: José Núñez, role: member, teams: [payments]}
  - {email: chen1@acme.test, name: Wei Chen, role: member, teams: [payments]}
  - {email: chen2@acme.test, name: Wei Chen, role: member, teams: [payments]}
"""
)


def say(world: World, words: str, by: Person | None = None) -> str:
    """What is answered to words of which Slack resolves nothing."""
    answer = (by or world.ben).command("/incident", words, channel=world.cast.checkout, resolve=False)
    assert answer.message is not None
    return answer.message.text


def log(world: World) -> str:
    """The log of #1 as Slack is given it, with its mentions."""
    return world.see(world.dan, "activity 1").markup


def followers(world: World) -> set[str]:
    with world.store.read() as connection:
        return set(
            connection.exec_driver_sql(
                "SELECT m.email FROM incident_subscription s JOIN member m ON m.id = s.member_id"
            ).scalars()
        )


@pytest.mark.parametrize(
    "name", ["dan", "Dan", "DAN", "dan.wu", "dan_wu", "dan-wu", "DanWu", "Dan Wu", "dan  wu", "Dan\u00a0Wu"]
)
def test_a_name_that_fits_one_member_is_a_mention(world: World, name: str) -> None:
    world.declare("Payments fail")
    assert "You commented on #1" in say(world, f"comment 1 please ask @{name}, he knows")
    assert "please ask <@U0004>, he knows" in log(world)
    assert "dan@acme.test" in followers(world)


@pytest.mark.parametrize(
    ("name", "rest"), [("@dan's", "'s"), ("(@dan)", ")"), ("@dan:", ":"), ("@dan.", "."), ("*@dan*", "*")]
)
def test_what_stands_around_a_name_stays(world: World, name: str, rest: str) -> None:
    world.declare("Payments fail")
    say(world, f"comment 1 see {name} note")
    assert f"<@U0004>{rest} note" in log(world)


def test_a_team_by_its_slug_or_name_is_a_mention_of_the_team(world: World) -> None:
    world.declare("Payments fail")
    say(world, "comment 1 @payments look", by=world.dan)
    assert "<!subteam^S0001> look" in log(world)
    assert followers(world) >= {"ada@acme.test", "ben@acme.test", "sue@acme.test", "dan@acme.test"}


def test_accents_do_not_matter_nor_does_the_e_mail(world: World) -> None:
    world.apply(TWO_ADAS)
    world.declare("Payments fail")
    say(world, "comment 1 @jose and @lovelace look")
    assert followers(world) >= {"jose.nunez@acme.test", "lovelace@acme.test"}


def test_a_name_that_fits_several_is_asked_about_and_the_text_given_back(world: World) -> None:
    world.apply(TWO_ADAS)
    world.declare("Payments fail", by=world.dan)
    asked = say(world, "comment 1 @ada should look at this")
    assert "Who is “@ada”?" in asked
    assert "Ada Love (@ada.love) or Ada Obi (@ada.obi)" in asked
    assert "/incident comment 1 @ada should look at this" in asked
    assert "commented" not in log(world) and "ada@acme.test" not in followers(world)
    say(world, "comment 1 @ada.obi should look at this")
    assert "<@U0001> should look at this" in log(world)
    assert "ada@acme.test" in followers(world) and "lovelace@acme.test" not in followers(world)


def test_namesakes_are_told_apart_by_their_e_mails(world: World) -> None:
    world.apply(TWO_ADAS)
    world.declare("Payments fail")
    assert "Wei Chen (@chen1) or Wei Chen (@chen2)" in say(world, "comment 1 @Wei Chen look")
    say(world, "comment 1 @chen1 and @chen2 look")
    assert followers(world) >= {"chen1@acme.test", "chen2@acme.test"}


def test_a_person_and_a_team_of_one_name_are_asked_about(world: World) -> None:
    world.apply(ORGANIZATION.replace("name: Cyn Roe", "name: Payments Roe"))
    world.declare("Payments fail")
    asked = say(world, "comment 1 @payments look")
    assert "Payments Roe (@payments.roe) or the team Payments" in asked


@pytest.mark.parametrize(
    "text",
    [
        "write to dan@acme.test or dan@dan",
        "npm install @types/node @dan/tools @dan-wu/tools",
        "see https://x.test/@dan and http://x.test/?q=@dan",
        "run `ssh @dan` or ```\nfoo @dan\n```",
        "git show HEAD@{1} dan@, a@b, @, @@dan, @dan@social.test",
        "nobody is called @nobody, @d or @danwuu",
        "path/@dan and C:\\@dan and x=@dan and $@dan",
        "@here @channel @everyone",
    ],
)
def test_what_only_looks_like_a_name_stays_text(world: World, text: str) -> None:
    world.declare("Payments fail", by=world.ada)
    assert "You commented on #1" in say(world, f"comment 1 {text}")
    assert "<@U0004>" not in log(world)
    assert followers(world) == {"ada@acme.test", "ben@acme.test"}


def test_a_broadcast_stays_a_word_even_where_somebody_is_called_so(world: World) -> None:
    world.apply(ORGANIZATION.replace("name: Dan Wu", "name: Here Wu"))
    world.declare("Payments fail", by=world.ada)
    say(world, "comment 1 @here wake up")
    assert followers(world) == {"ada@acme.test", "ben@acme.test"}


def test_who_cannot_see_the_incident_is_refused_by_name_like_anybody_mentioned(world: World) -> None:
    world.declare("Payments fail")
    assert "Cyn Roe cannot see #1" in say(world, "comment 1 @cyn look")
    assert "the team Search cannot see #1" in say(world, "comment 1 @search look")
    assert "commented" not in log(world)


def test_nobody_of_another_organization_or_who_left_is_meant(world: World) -> None:
    world.apply(ORGANIZATION.replace("  - {email: dan@acme.test, name: Dan Wu, role: manager}\n", ""), prune=True)
    world.declare("Payments fail", by=world.ada)
    assert "You commented on #1" in say(world, "comment 1 @dan look, and @eve")
    assert followers(world) == {"ada@acme.test", "ben@acme.test"}


@pytest.mark.parametrize("words", ["resolve 1 thanks @dan", "severity 1 critical says @dan"])
def test_a_comment_with_a_change_of_status_mentions_too(world: World, words: str) -> None:
    world.declare("Payments fail")
    say(world, words)
    assert "<@U0004>" in log(world)


def test_in_a_form_a_name_that_nobody_picked_is_found_too(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1")
    assert form.fill("Comment", ["ask @dan, not ", world.ada, " or dan@acme.test"]).submit().closed
    assert "ask <@U0004>, not <@U0001> or " in log(world)


def test_in_a_form_a_name_that_fits_several_is_asked_about_below_the_field(world: World) -> None:
    world.apply(TWO_ADAS)
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    outcome = world.ben.wait_for_form("Comment #1").fill("Comment", ["ask @ada please"]).submit()
    assert "Who is “@ada”?" in outcome.errors["Comment"]
    assert world.ben.form is not None


def test_an_edit_that_changes_nothing_mentions_nobody_else(world: World) -> None:
    world.apply(TWO_ADAS)
    world.declare("Payments fail")
    say(world, "comment 1 @lovelace and @ada.obi look")
    before = log(world)
    shown = world.see(world.ben, "activity 1")
    world.ben.press(shown, "Edit")
    assert world.ben.wait_for_form("Edit #1").submit().closed
    assert log(world).replace(" (edited)", "") == before


def test_in_a_thread_a_name_is_found_and_one_that_fits_several_is_asked_about_in_private(world: World) -> None:
    world.apply(TWO_ADAS)
    world.declare("Payments fail", by=world.sue)
    thread = card(world)
    world.ben.say(world.cast.checkout, "@dan please look, or @ada", thread=thread, resolve=False)
    asked = world.ben.wait_for_message(containing="“@ada” could be")
    assert "Ada Love (@ada.love) or Ada Obi (@ada.obi)" in asked.text and "Your reply to #1 Payments fail" in asked.text
    world.rest()
    assert "<@U0004> please look, or @ada" in log(world)
    assert followers(world) == {"dan@acme.test", "ben@acme.test", "sue@acme.test"}
