"""Changes that tests make in the database while the bot is at work in it."""

from __future__ import annotations

from storage.engine import Store
from storage.errors import Contended


def change(store: Store, *statements: str, **values: object) -> None:
    """Runs statements with these parameters in one transaction.

    They lock rows in any order. Where a worker of the bot locks the same ones in another order, PostgreSQL may end this
    transaction and not the worker's: then it is run again.
    """
    while True:
        try:
            with store.write() as tx:
                for statement in statements:
                    tx.exec_driver_sql(statement, values)
            return
        except Contended:
            continue
