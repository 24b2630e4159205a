"""`reencrypt`: encrypts the stored secrets with the first key of TOCSIN_SECRET_KEY, so that the others can go."""

from __future__ import annotations

import typer

from bot.commands.usage import EXIT_OUTSIDE, BadUsage, load_settings
from bot.database import open_store
from bot.installations.reencryption import encrypt_again


def reencrypt() -> int:
    """Encrypts the stored secrets with the first key.

    To replace TOCSIN_SECRET_KEY, put the new key before the old one with a comma between them, restart every process,
    run this, and then remove the old key. It may run beside the bot, and again.
    """
    settings = load_settings()
    if settings.secret_key is None:
        raise BadUsage("TOCSIN_SECRET_KEY is not set: it encrypts the stored secrets")
    with open_store(settings) as store:
        done = encrypt_again(store, settings.secret_key.get_secret_value())
    typer.echo(f"{done.changed} encrypted with the first key, {done.current} were already.")
    for what in done.unreadable:
        typer.echo(f"{what}: made with a key that TOCSIN_SECRET_KEY does not have", err=True)
    return EXIT_OUTSIDE if done.unreadable else 0
