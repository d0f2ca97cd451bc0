"""Journal, Stream and Members on Kafka.

No consumer groups, no transactions, no positions kept by the broker: records are appended by idempotent producers and
fetched by offset. `_producers` keeps one poisoned partition from unsettling the others, `_link` is one connection that
fetches, `_leaders` tells leaders from those that were, `_tail` knows how far partitions have grown. `_layouts` says how
topics are laid out, `_topics` makes them so, `_cluster` says where the brokers are and who we are to them.
"""

from chapar_sourcing.adapters.kafka._cluster import Cluster, Credentials
from chapar_sourcing.adapters.kafka._journal import KafkaJournal
from chapar_sourcing.adapters.kafka._layouts import (
    Durability,
    TopicLayout,
    TopicRefused,
    journal_layout,
    journal_topic,
    members_layouts,
    owners_topic,
)
from chapar_sourcing.adapters.kafka._members import KafkaMembers
from chapar_sourcing.adapters.kafka._stream import KafkaStream
from chapar_sourcing.adapters.kafka._topics import (
    TopicChange,
    TopicState,
    apply_topics,
    check_topics,
    describe_topics,
    topics_with_records,
)

__all__ = [
    "Cluster",
    "Credentials",
    "Durability",
    "KafkaJournal",
    "KafkaMembers",
    "KafkaStream",
    "TopicChange",
    "TopicLayout",
    "TopicRefused",
    "TopicState",
    "apply_topics",
    "check_topics",
    "describe_topics",
    "journal_layout",
    "journal_topic",
    "members_layouts",
    "owners_topic",
    "topics_with_records",
]
