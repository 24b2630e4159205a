"""`reencrypt`: encrypts the stored secrets with the first key of TOCSIN_SECRET_KEY, so that the others can go."""

from __future__ import annotations

import typer

from bot.cells.opening import open_stores
from bot.commands.targets import require_all
from bot.commands.usage import EXIT_OUTSIDE, BadUsage, load_settings
from bot.installations.reencryption import encrypt_again


def reencrypt() -> int:
    """Encrypts the stored secrets with the first key.

    To replace TOCSIN_SECRET_KEY, put the new key before the old one with a comma between them, restart every process,
    run this, and then remove the old key. It may run beside the bot, and again.
    """
    settings = load_settings()
    if settings.secret_key is None:
        raise BadUsage("TOCSIN_SECRET_KEY is not set: it encrypts the stored secrets")
    with open_stores(settings) as stores:
        done = [encrypt_again(store, settings.secret_key.get_secret_value()) for store in require_all(stores)]
    changed, current = sum(one.changed for one in done), sum(one.current for one in done)
    typer.echo(f"{changed} encrypted with the first key, {current} were already.")
    unreadable = [what for one in done for what in one.unreadable]
    for what in unreadable:
        typer.echo(f"{what}: made with a key that TOCSIN_SECRET_KEY does not have", err=True)
    return EXIT_OUTSIDE if unreadable else 0
