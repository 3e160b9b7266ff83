"""Both faces of the SDK under one set of calls."""

import asyncio

from azure.communication.identity import CommunicationIdentityClient
from azure.communication.identity.aio import CommunicationIdentityClient as AsyncClient

import emulator


class Blocking:
    """The asynchronous client, called like the synchronous one."""

    def __init__(self, make):
        self._make = make

    def __getattr__(self, name):
        def call(*args, **kwargs):
            async def once():
                async with self._make() as client:
                    return await getattr(client, name)(*args, **kwargs)

            return asyncio.run(once())

        return call


def make(kind, connection_string=emulator.CONNECTION_STRING, **options):
    # Retries without waiting, where a test does not ask for more.
    options = {"retry_backoff_factor": 0, **options}
    if kind == "sync":
        return CommunicationIdentityClient.from_connection_string(connection_string, **options)
    return Blocking(lambda: AsyncClient.from_connection_string(connection_string, **options))
