"""The law of an installation: folded log, living owner and store hold the same, chains are sound, inboxes right.

While the services run, each owner is asked after each test what it holds at which offset of its log. When they have
ended, each log is folded once from its first record and compared with all of that, then with the store.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar.sourcing.peer.v1 import peer_pb2_grpc
from chapar_chassis.peers import PEER_TOKEN_KEY
from chapar_chassis.ports import open_journal
from chapar_chassis.secrets import Secrets
from chapar_chassis.settings import CommonSettings
from chapar_client.demo import Stage
from chapar_client.up import ANY_PORT, OWNERS, service_of
from chapar_client.verifier import ServiceReport, verify_folder, verify_records
from chapar_identity.domain import IdentityDomain
from chapar_messaging.domain import MessagingDomain
from chapar_payments.domain import PaymentsDomain
from chapar_presence.domain import PresenceDomain
from chapar_sourcing.digest import Refolded, digest_of, refold
from chapar_sourcing.domain import Domain
from chapar_sourcing.fold import FoldState, Verdict, fold
from chapar_sourcing.ports import Journal
from chapar_sourcing.requests import answers_since_ms
from tests.e2e.inboxes import shown_wrongly as shown_wrongly_in

DOMAINS: Mapping[str, Domain[Any, Any]] = {
    domain.service: domain for domain in (IdentityDomain(), MessagingDomain(), PaymentsDomain(), PresenceDomain())
}
ASK_S_MAX = 60.0
"""A service that was just killed comes back within it."""
ASK_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
"""Somebody else owns it, or it could not read its documents in the time that it gives itself."""
ASKED_AT_ONCE = 2
"""Partitions of a service: each answer is all documents of one, read from the database."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an owner said it holds of a partition."""

    after: str
    """The test after which it was asked."""
    service: str
    partition: int
    said: peer.DigestResponse


class Law:
    """Of one installation: `ask` while it runs, `problems` once it has ended."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.held: list[Held] = []

    async def ask(self, after: str) -> None:
        """Asks all owners for the digests of all their partitions."""
        for service in await asyncio.gather(*(self._ask(service, after) for service in OWNERS)):
            self.held += service

    async def _ask(self, service: str, after: str) -> Sequence[Held]:
        metadata = ((PEER_TOKEN_KEY, Secrets(self.stage.data_dir / "secrets" / service).peer_token()),)
        async with AsyncExitStack() as channels:
            stubs = [
                peer_pb2_grpc.OwnerServiceStub(
                    await channels.enter_async_context(grpc.aio.insecure_channel(at.address))
                )
                for process, at in self.stage.up.addresses.items()
                if service_of(process) == service
            ]

            turns = asyncio.Semaphore(ASKED_AT_ONCE)

            async def one(partition: int) -> Held:
                """Whoever owns it says so; the others refuse."""
                request = peer.DigestRequest(partition=partition)
                async with turns, asyncio.timeout(ASK_S_MAX):
                    for stub in itertools.cycle(stubs):
                        try:
                            said = await stub.Digest(request, metadata=metadata, timeout=ASK_S_MAX)
                            return Held(after, service, partition, said)
                        except grpc.aio.AioRpcError as error:
                            if error.code() not in ASK_AGAIN:
                                raise
                            await asyncio.sleep(0.1)
                raise AssertionError(f"{service} has no process")

            return await asyncio.gather(*map(one, range(self.stage.up.installation.partitions)))

    async def problems(self) -> list[str]:
        """Everything that does not agree; the services have ended."""
        shown_wrongly, compared = await shown_wrongly_in(self._settings("messaging"))
        missed = [] if compared else ["no inbox was compared"]
        return [
            *await self.held_wrongly(), *await self.stored_wrongly(), *await self.unsound(), *shown_wrongly, *missed,
        ]  # fmt: skip

    async def held_wrongly(self) -> list[str]:
        """Where an owner held something else than its log folds to."""
        return [problem for service in OWNERS for problem in await self._held_wrongly(service)]

    async def stored_wrongly(self) -> list[str]:
        """Where a store, brought up to the end of its log, holds something else than the log folds to."""
        digests = await self.stage.digests()
        return [f"{service}: log and store differ: {said}" for service, (same, said) in digests.items() if not same]

    async def verdicts(self, service: str) -> Counter[Verdict]:
        """How many records of a service's journal are claims, valid blocks and void."""
        counts = Counter[Verdict]()
        journal = await open_journal(self._settings(service), service)
        try:
            for partition in range(journal.partitions):
                state = FoldState()
                while records := await journal.read(partition, state.offset + 1):
                    for record in records:
                        state, verdict, _ = fold(state, record.offset, record.data)
                        counts[verdict] += 1
        finally:
            await journal.close()
        return counts

    async def unsound(self) -> list[str]:
        """What is wrong with chains and books, recomputed by code that shares nothing with the engine."""
        if self.stage.up.installation.kafka:
            reports = [await self.recomputed(service) for service in OWNERS]
        else:
            reports = verify_folder(self.stage.data_dir)
        return [str(finding) for report in reports for finding in report.findings]

    async def recomputed(self, service: str) -> ServiceReport:
        """What `chapar verify-log` says of files, of a journal wherever it is kept."""
        journal = await open_journal(self._settings(service), service)
        try:
            partitions = [await _records(journal, partition) for partition in range(journal.partitions)]
            return verify_records(service, journal.journal_id, partitions)
        finally:
            await journal.close()

    def _settings(self, service: str) -> CommonSettings:
        return CommonSettings.from_environ(self.stage.up.installation.environment(service, listen=ANY_PORT))

    async def _held_wrongly(self, service: str) -> list[str]:
        journal = await open_journal(self._settings(service), service)
        try:
            return [
                problem
                for partition in range(journal.partitions)
                for problem in await self._compared(journal, service, partition)
            ]
        finally:
            await journal.close()

    async def _compared(self, journal: Journal, service: str, partition: int) -> list[str]:
        asked = [held for held in self.held if (held.service, held.partition) == (service, partition)]
        folded = Refolded()
        problems = []
        seen: tuple[int, bytes, bytes, int, int] | None = None
        for held in sorted(asked, key=lambda held: held.said.offset):
            if seen is None or seen[0] != held.said.offset:
                await refold(journal, partition, DOMAINS[service], up_to=held.said.offset, onto=folded)
                keeps = DOMAINS[service].keeps_answers
                since_ms = answers_since_ms(folded.state.time_ms, keeps_answers=keeps)
                digest = digest_of(folded.documents, answers_since_ms=since_ms)
                seen = (folded.state.offset, folded.state.hash, digest.sha256, digest.documents, 0)
            said = (held.said.offset, held.said.hash, held.said.digest, held.said.documents, held.said.alarms)
            if said != seen:
                place = f"{service} partition {partition} at offset {held.said.offset}, after {held.after}"
                problems.append(f"{place}: the owner held {said}, the log folds to {seen}")
        return problems


async def _records(journal: Journal, partition: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while records := await journal.read(partition, found[-1][0] + 1 if found else 0):
        found += [(record.offset, record.data) for record in records]
    return found
