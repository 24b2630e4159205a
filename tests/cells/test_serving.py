"""Two cells behind one address: each organization is served from its own database, whatever becomes of the other."""

from __future__ import annotations

import uuid

from sqlalchemy import text

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

    second_server.kill()
    try:
        refused = served.alert(labs, "second", "rocket")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (503, "database")
        assert int(refused.headers["Retry-After"]) > 0
        assert "I cannot reach my database" in served.see(served.zoe, "declare project:rocket Lost words")
        assert served.alert(acme, "mail", "checkout").status_code == 202
        assert "Payments fail" in served.see(served.cast.ada, "declare project:checkout Payments fail")
        served.cast.ada.wait_for_message(served.cast.checkout, containing="#3 Payments fail")
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


def test_ids_of_different_cells_never_meet(served: Cells) -> None:
    ids = []
    for store in (served.store, served.two):
        with store.read() as connection:
            ids.append(connection.scalar(text("SELECT id FROM organization")) >> 40)
    assert ids == [0, 1]
