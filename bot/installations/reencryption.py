"""Encrypts the stored secrets with the first key of TOCSIN_SECRET_KEY."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.secret_box import Purpose, SecretBox, SecretUnreadable
from storage.engine import Store
from storage.queries import installations as queries


@dataclass(slots=True)
class Reencryption:
    """What was done."""

    changed: int = 0
    current: int = 0  # encrypted with the first key before
    unreadable: list[str] = field(default_factory=list)  # what was encrypted with none of the keys


def encrypt_again(store: Store, secret_keys: str) -> Reencryption:
    """Encrypts every stored secret with the first key, each in a transaction of its own.

    One that is replaced meanwhile (by a rotation, an installation) is looked at again by the next run.
    """
    done = Reencryption()
    with store.read() as connection:
        secrets = queries.list_sealed_secrets(connection)
        tokens = queries.list_sealed_tokens(connection)
    intake, slack = SecretBox(secret_keys), SecretBox(secret_keys, Purpose.SLACK_TOKENS)
    for token_id, sealed in secrets.items():

        def seal_secret(token_id: int = token_id, sealed: str = sealed) -> bool:
            after = intake.seal_again(sealed)
            if after is None:
                return False
            with store.write() as tx:
                return queries.replace_sealed_secret(tx, token_id, sealed, after)

        _count(done, f"The secret of the intake token {token_id}", seal_secret)
    for installation_id, pair in tokens.items():

        def seal_tokens(installation_id: str = installation_id, pair: tuple[str, str | None] = pair) -> bool:
            token, refresh_token = slack.seal_again(pair[0]), slack.seal_again(pair[1]) if pair[1] else None
            if token is None and refresh_token is None:
                return False
            with store.write() as tx:
                return queries.replace_sealed_tokens(
                    tx, installation_id, pair, (token or pair[0], refresh_token or pair[1])
                )

        _count(done, f"The Slack token of {installation_id}", seal_tokens)
    return done


def _count(done: Reencryption, what: str, seal: Callable[[], bool]) -> None:
    try:
        changed = seal()
    except SecretUnreadable:
        done.unreadable.append(what)
        return
    if changed:
        done.changed += 1
    else:
        done.current += 1
