"""Two names in TOCSIN_CELLS that lead to one database: refused before anything is served or changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import URL, make_url

from bot.cells.directory import CellUnfit
from bot.cells.distinct import check_distinct
from bot.cells.serving import OtherCells
from bot.settings import Settings
from storage.engine import Store
from tests.cells.test_moving_refused import Databases, databases

__all__ = ["databases"]

OF_DEFAULT = "two is the database of DATABASE_URL, under another address; it should be one of its own"
OF_ANOTHER = "three is the database of two, under another address; it should be one of its own"


def name_again(url: URL | str) -> URL:
    """The same database by another address."""
    return make_url(url).update_query_dict({"application_name": "again"})


def render(**cells: URL) -> str:
    return " ".join(f"{name}={url.render_as_string(hide_password=False)}" for name, url in cells.items())


@pytest.fixture(params=["the default cell", "another cell"])
def twice(request: pytest.FixtureRequest, databases: Databases, database_url: str, cell_url: URL) -> Iterator[str]:
    """TOCSIN_CELLS with a database twice. Gives what is wrong with it."""
    if request.param == "the default cell":
        cells, said = render(two=name_again(database_url)), OF_DEFAULT
    else:
        cells, said = render(two=cell_url, three=name_again(cell_url)), OF_ANOTHER
    databases.patching.setenv("TOCSIN_CELLS", cells)
    databases.patching.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    databases.patching.setenv("SLACK_SIGNING_SECRET", "secret")
    databases.patching.setenv("SLACK_API_URL", "http://127.0.0.1:1/api/")
    databases.patching.setenv("HTTP_PORT", "0")
    yield said


@pytest.mark.parametrize("words", [("serve",), ("token", "list"), ("move", "acme", "two"), ("migrate",)])
def test_a_command_refuses_a_database_that_is_named_twice(
    databases: Databases, twice: str, words: tuple[str, ...]
) -> None:
    code, _, errors = databases.run(*words)
    assert (code, errors.splitlines()[-1]) == (2, f"TOCSIN_CELLS: {twice}")
    assert "serving HTTP" not in errors


def test_doctor_names_a_database_that_is_named_twice(databases: Databases, twice: str) -> None:
    _, found, _ = databases.run("doctor")
    assert f"FAULT  cells: {twice}." in found


def test_a_cell_that_answers_later_is_not_served_if_it_is_another_one(databases: Databases, database_url: str) -> None:
    first, dead = make_url(database_url), make_url("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    assert check_distinct({"default": first, "two": dead, "three": databases.two.url}) == {"default", "three"}
    databases.patching.setenv("TOCSIN_CELLS", render(two=name_again(first)))
    cells = OtherCells(Settings.load(), databases.first, "all")
    with pytest.raises(CellUnfit, match=OF_DEFAULT):
        cells._reach("two")
    assert cells._stores["two"] is None
    cells.close()


def test_two_processes_that_start_together_do_not_take_each_other_for_a_cell(
    databases: Databases, database_url: str
) -> None:
    urls = {"default": make_url(database_url), "two": databases.two.url}
    with closing(Store.open(database_url)) as other, other.write() as tx:
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tocsin.cells'))")  # another process numbers a cell
        assert check_distinct(urls) == {"default", "two"}
