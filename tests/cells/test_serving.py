"""Two cells behind one address: each organization is served from its own database, whatever becomes of the other."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import text

from bot.cells.directory import CellAway
from bot.cells.front import AwayRouter
from bot.slack.requests import Event, OptionsRequest, Person, Press, Shortcut, Submission
from bot.slack.responses import FormErrors, RetryLater
from storage.engine import Store
from tests.cells.conftest import Cells, SecondServer, wait_for


def count(store: Store, table: str) -> int:
    with store.read() as connection:
        return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608 - names of the tests


def test_one_cell_is_killed_and_the_other_goes_on(served: Cells, second_server: SecondServer) -> None:
    acme, labs = served.create_token("acme"), served.create_token("labs")
    assert served.alert(acme, "web", "checkout").status_code == 202
    assert served.alert(labs, "probe", "rocket").status_code == 202
    assert "#1 web is down" in served.see(served.cast.ada, "list")
    assert "#1 probe is down" in served.see(served.zoe, "list")
    served.zoe.wait_for_message(served.rocket, containing="#1 probe is down")
    assert count(served.store, "incident") == count(served.two, "incident") == 1
    assert served.check_ready()[1]["cells"] == {"two": "ok"}

    directory = served.cells.directory
    second_server.kill()
    try:
        assert directory.find_cell_of_workspace("T0002") == "two", "what is known goes on being used"
        refused = served.alert(labs, "second", "rocket")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (503, "database")
        assert int(refused.headers["Retry-After"]) > 0
        assert "I cannot reach my database" in served.see(served.zoe, "declare project:rocket Lost words")
        assert served.alert(acme, "mail", "checkout").status_code == 202
        assert "Payments fail" in served.see(served.cast.ada, "declare project:checkout Payments fail")
        served.cast.ada.wait_for_message(served.cast.checkout, containing="#3 Payments fail")
        directory._cached.clear()  # as in a process that has just started
        assert directory.find_cell_of_workspace("T0001") == "default"
        with pytest.raises(CellAway):
            directory.find_cell_of_workspace("T0002")
        answer = served.see(served.zoe, "declare project:rocket Lost words")
        assert "I cannot reach my database" in answer and "Lost words" in answer
        assert served.alert(labs, "third", "rocket").status_code == 503
        assert "#2 mail is down" in served.see(served.cast.ada, "list")
        status, ready = served.check_ready()
        assert (status, ready["database"], ready["cells"]) == (200, "ok", {"two": "cannot be used"})
    finally:
        second_server.start()
    wait_for(lambda: "#1 probe is down" in served.see(served.zoe, "list"))
    assert served.alert(labs, "second", "rocket").status_code == 202


def test_what_is_in_no_cell_is_answered_by_the_default_cell(cells: Cells) -> None:
    assert cells.install(cells.second, cells.zoe).status == 200
    assert "not connected" in cells.see(cells.zoe, "list")
    assert count(cells.store, "installation") == 1
    assert count(cells.two, "installation") == 0
    unknown = cells.alert(f"tocsin_{uuid.uuid4().hex}", "web", "checkout")
    assert unknown.status_code == 401


def test_a_request_for_a_cell_that_is_away_is_answered_in_its_own_way() -> None:
    router = AwayRouter("/incident")
    person = Person("T0002", "U0021", None)
    view = {"id": "V1", "blocks": [{"type": "input", "block_id": "title"}]}
    press = Press(person, "C0021", "https://hooks.slack.com/1", None, None, {}, surface="modal")
    submission = Submission(person, None, None, None, None, {"view": view})
    shortcut = Shortcut(person, None, None, None, None, {})
    for response in (router.press(press), router.shortcut(shortcut), router.submission(submission)):
        assert "I cannot reach my database" in str(response)
    assert isinstance(router.submission(submission), FormErrors)
    assert router.suggest(OptionsRequest(person, None, None, None, None, {})) == ()
    assert router.event(Event("T0002", "Ev1", "message", {})) == RetryLater()


def test_commands_work_on_all_cells(served: Cells) -> None:
    tokens = [served.create_token("acme"), served.create_token("labs")]
    listed = served.type("token", "list").splitlines()
    assert len(tokens) == len([line for line in listed if " acme " in line or " labs " in line])
    of_labs = next(line.split()[0] for line in listed if " labs " in line)
    served.type("token", "revoke", of_labs)
    assert served.alert(tokens[1], "probe", "rocket").status_code == 401
    assert "two: Nothing to do: the schema is at" in served.type("migrate")
    served.type("hold", "begin", "--organization", "labs")
    assert served.type("hold", "list") == "labs\n"
    _, found, _ = served.run("doctor")
    served.reconfigure_log()
    assert "ok     two: schema: at" in found and "ok     schema: at" in found
    code, _, errors = served.run("export", "--organization", "nobody", "-")
    served.reconfigure_log()
    assert (code, "There are acme, labs." in errors) == (2, True)


def test_ids_of_different_cells_never_meet(served: Cells) -> None:
    ids = []
    for store in (served.store, served.two):
        with store.read() as connection:
            ids.append(connection.scalar(text("SELECT id FROM organization")) >> 40)
    assert ids == [0, 1]
