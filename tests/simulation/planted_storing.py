"""Processes with bugs planted on purpose in what they store and load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chapar_sourcing.domain import Key, Stored
from tests.simulation.loads import Loads
from tests.simulation.node import Node
from tests.simulation.projector import Projector


class _MovesTheCheckpointFirst(Projector):
    def project(self) -> None:
        batch = None if self._busy else self.process.owner.take_projection(1_000)
        if batch is not None:
            self.world.store.write_checkpoint(batch.checkpoint)
        super().project()


class WritesTheCheckpointFirst(Node):
    """A projector that moves the checkpoint before the documents."""

    projector_class = _MovesTheCheckpointFirst


class _WaitsForNobody(Projector):
    def confirm(self, then: Callable[[], None]) -> None:
        self.process.in_this_life(0, then)


class TakesWrittenForConfirmed(Node):
    """A projector that does not wait until the majority has what it wrote."""

    projector_class = _WaitsForNobody


class _AsksThePrimary(Loads):
    def stored(self, keys: Sequence[Key], at_least: int) -> Mapping[Key, Stored] | None:
        documents = self._world.store.documents
        return {key: documents[key] for key in keys if key in documents}


class ReadsWhatIsNotConfirmed(Node):
    """Loads documents that a fail-over of the store may yet take away."""

    loads_class = _AsksThePrimary


BUGS: tuple[type[Node], ...] = (WritesTheCheckpointFirst, TakesWrittenForConfirmed, ReadsWhatIsNotConfirmed)
