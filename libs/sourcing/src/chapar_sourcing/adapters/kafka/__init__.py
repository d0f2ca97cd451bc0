"""Journal and Stream on Kafka.

No consumer groups, no transactions, no positions kept by the broker: records are appended by idempotent producers and
fetched by offset. `_producers` keeps one poisoned partition from unsettling the others, `_link` is one connection that
fetches, `_tail` knows how far partitions have grown, `_topics` says how topics are laid out.
"""

from chapar_sourcing.adapters.kafka._journal import KafkaJournal
from chapar_sourcing.adapters.kafka._stream import KafkaStream
from chapar_sourcing.adapters.kafka._topics import TopicRefused, create_topics

__all__ = ["KafkaJournal", "KafkaStream", "TopicRefused", "create_topics"]
