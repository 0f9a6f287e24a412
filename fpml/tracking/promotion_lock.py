"""One promotion of a run at a time: a lock in the tracking store, which all machines share."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fpml.base.errors import FpmlError
from fpml.tracking import runs as tracking

LOCK = "promotion-lock"
LOCK_SECONDS = 600  # a promotion takes seconds; one that holds the lock for longer is dead


@contextmanager
def lock(client: Any, name: str) -> Iterator[None]:
    """One promotion of a run at a time, also from several machines. A registered model's name is unique in the store, which
    no other of its things is, so a model of that name is the lock."""
    from mlflow.exceptions import MlflowException

    key = f"{name}.{LOCK}"
    owner = f"held by {socket.gethostname()}:{os.getpid()}, {secrets.token_hex(8)}; gone when its promotion ends"
    for _ in range(2):
        try:
            client.create_registered_model(key, description=owner)
            break
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            age, holder = _age(client, key)
            if age < LOCK_SECONDS:
                raise FpmlError(f"another promotion of '{name}' is under way; nothing was changed, try again") from None
            tracking.say(f"promotion: the lock of a promotion that died {age / 60:.0f} minutes ago is removed")
            _release(client, key, holder)
    else:
        raise FpmlError(f"another promotion of '{name}' is under way; nothing was changed, try again")
    try:
        yield
    finally:
        _release(client, key, owner)


def _release(client: Any, key: str, holder: str) -> None:
    """Remove a lock, if it is still this holder's."""
    from mlflow.exceptions import MlflowException

    try:
        if client.get_registered_model(key).description == holder:
            client.delete_registered_model(key)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _age(client: Any, key: str) -> tuple[float, str]:
    """Seconds since a lock was made, both moments by the store's clock: this machine's may be wrong; and its holder. 0 where
    it is gone."""
    from mlflow.exceptions import MlflowException

    try:
        holder = client.get_registered_model(key).description
        now = client.update_registered_model(key, holder)
    except MlflowException:
        return 0.0, ""
    return float(now.last_updated_timestamp - now.creation_timestamp) / 1000, holder
