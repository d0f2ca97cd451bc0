"""All dashboards but those of single services."""

from __future__ import annotations

from collections.abc import Sequence

from tools.watch.known import BROKERS
from tools.watch.levels import BURNS, ERRORS, OBJECTIVE
from tools.watch.panels import NO_EXPORTER, NOTHING_IS_WELL, Board, Choice, Panel, Section
from tools.watch.sections import INSTANCE, deciding, following, gauge, of_job, owning, quantile, rate, storing
from tools.watch.services import SERVICES

_SERVICE = Choice("service", "Service", "label_values(chapar_partitions_owned, job)")
_OF_SERVICE = 'job=~"$service"'


def engine() -> Board:
    """Event sourcing, over all owner services."""
    marks = Section("Logs and stores", [
        Panel("Contradictions", "Processes that found a contradiction in a log or a store since they started: they "
              "decide nothing more there.", "short",
              [(f"sum by (job, instance) (increase(chapar_alarms_total{{{_OF_SERVICE}}}[$__rate_interval]))",
                "{{instance}} of {{job}}")]),
        Panel("Records not stored", "Records between what owners have folded and their checkpoints, of the worst "
              "partition.", "short", [(gauge("chapar_projection_lag_offsets", _OF_SERVICE, "job", "max"), "{{job}}")]),
        Panel("Appends without an answer", "Their fate is known only after the next claim.", "cps",
              [(rate("chapar_appends_unknown_total", _OF_SERVICE, "job"), "{{job}}")]),
        Panel("Phases of owners", "Owners of partitions that came into a phase of their life.", "cps",
              [(rate("chapar_owner_phases_total", _OF_SERVICE, "phase"), "{{phase}}")]),
        Panel("Clocks that are off", "How far a clock is off its journal's, where that is too far.", "ms",
              [(f"max by (job) (abs(chapar_clock_off_ms{{{_OF_SERVICE}}}))", "{{job}}")]),
        Panel("Timers that failed", "Commands of due timers that failed; they are tried again.", "cps",
              [(rate("chapar_timers_failed_total", _OF_SERVICE, "job, reason"), "{{job}}: {{reason}}")],
              NOTHING_IS_WELL),
    ])  # fmt: skip
    streams = Section("Streams and rebuilds", [
        Panel("Events published", "Events published to streams.", "cps",
              [(rate("chapar_events_published_total", _OF_SERVICE, "topic"), "{{topic}}")]),
        Panel("Relays behind", "Records that relays have not looked at, of the worst partition.", "short",
              [(gauge("chapar_relay_lag_offsets", _OF_SERVICE, "topic", "max"), "{{topic}}")]),
        Panel("Rebuilds", "Share that a phase of a rebuild has dealt with.", "percentunit",
              [(f"{gauge('chapar_rebuild_done', _OF_SERVICE, 'job, phase')}"
                f" / {gauge('chapar_rebuild_total', _OF_SERVICE, 'job, phase')}", "{{job}} {{phase}}")],
              NOTHING_IS_WELL),
        Panel("Editions", "Partitions whose store was switched to another edition, and differences found.", "cps",
              [(rate("chapar_editions_switched_total", _OF_SERVICE, "job"), "switched {{job}}"),
               (rate("chapar_edition_differences_total", _OF_SERVICE, "job"), "differences {{job}}")]),
    ])  # fmt: skip
    return Board(
        "chapar-engine", "Chapar: event sourcing", "Owners, logs, stores, relays and reactors of all services.",
        [deciding(_OF_SERVICE, "job"), owning(_OF_SERVICE, "job"), marks, storing(_OF_SERVICE, "job"),
         following(_OF_SERVICE), streams],
        [_SERVICE],
    )  # fmt: skip


def kafka() -> Board:
    """The log as our processes see it, and brokers' own figures."""
    seen = Section("As our processes see it", [
        Panel("Appends", "Time until the journal acknowledged a block or a claim.", "s",
              [(quantile(share, "chapar_append_seconds", _OF_SERVICE, "job"), f"p{share * 100:g} {{{{job}}}}")
               for share in (0.5, 0.99)]),
        Panel("Appends a second", "Blocks and claims that the journal acknowledged.", "cps",
              [(rate("chapar_append_seconds_count", _OF_SERVICE, "job"), "{{job}}")]),
        Panel("Appends without an answer", "Errors and time-outs of appends.", "cps",
              [(rate("chapar_appends_unknown_total", _OF_SERVICE, "job"), "{{job}}")]),
        Panel("Heartbeats lost", "Own heartbeats that were not acknowledged in time.", "cps",
              [(rate("chapar_heartbeats_lost_total", _OF_SERVICE, "job"), "{{job}}")]),
        Panel("Age of the last heartbeat", "Of the worst process.", "s",
              [(gauge("chapar_heartbeat_age_seconds", _OF_SERVICE, "job", "max"), "{{job}}")]),
        Panel("Age of what gateways know of revocations", "Identity's relays beat each 0.3 s a partition.", "s",
              [('max by (instance) (chapar_revocations_age_seconds{job="chapar-gateway"})', "{{instance}}")]),
        Panel("Events published", "Events published to streams.", "cps",
              [(rate("chapar_events_published_total", _OF_SERVICE, "topic"), "{{topic}}")]),
        Panel("Relays behind", "Records that relays have not looked at, of the worst partition.", "short",
              [(gauge("chapar_relay_lag_offsets", _OF_SERVICE, "topic", "max"), "{{topic}}")]),
    ])  # fmt: skip
    rules = "From the broker's own JMX exporter, with the rules of deploy/prometheus/kafka-jmx.yaml."
    broker = f'job="{BROKERS}"'

    def of_brokers(title: str, what: str, unit: str, query: str, legend: str) -> Panel:
        return Panel(title, f"{what} {rules}", unit, [(query, legend)], NO_EXPORTER)

    own = Section("Brokers' own figures", [
        of_brokers("Partitions under-replicated", "Copies that are behind.", "short",
                   gauge("kafka_server_replicamanager_underreplicatedpartitions", broker, "instance"), "{{instance}}"),
        of_brokers("Partitions under min ISR", "Appends to them are refused.", "short",
                   gauge("kafka_server_replicamanager_underminisrpartitioncount", broker, "instance"), "{{instance}}"),
        of_brokers("Partitions without a leader", "Nobody can append to them.", "short",
                   gauge("kafka_controller_kafkacontroller_offlinepartitionscount", broker, "instance", "max"),
                   "{{instance}}"),
        of_brokers("Controllers", "One is well.", "short",
                   f"sum(kafka_controller_kafkacontroller_activecontrollercount{{{broker}}})", "active"),
        of_brokers("Bytes in", "Written by producers.", "Bps",
                   rate("kafka_server_brokertopicmetrics_bytesin_total", broker, "instance", ',topic=""'),
                   "{{instance}}"),
        of_brokers("Bytes out", "Read by consumers.", "Bps",
                   rate("kafka_server_brokertopicmetrics_bytesout_total", broker, "instance", ',topic=""'),
                   "{{instance}}"),
        of_brokers("Copies that fell behind", "Shrinking sets of in-sync replicas.", "cps",
                   rate("kafka_server_replicamanager_isrshrinks_total", broker, "instance"), "{{instance}}"),
    ])  # fmt: skip
    return Board("chapar-kafka", "Chapar: Kafka", "The log as our processes see it, and brokers' own figures.",
                 [seen, own], [_SERVICE])  # fmt: skip


def wallet() -> Board:
    """Money, from the call to the card in the chat."""
    gateway, owner, chat = 'job="chapar-gateway"', 'job="chapar-payments"', 'job="chapar-messaging"'
    paying = ',rpc=~"/chapar[.]payments[.]v1[.].+"'
    transit, cards = ',reactor="reactor/transits"', ',reactor="reactor/payment_cards"'
    people = Section("As people see it", [
        Panel("Calls", "Transfers, wallets, statements and cash-ins, at gateways.", "reqps",
              [(rate("chapar_rpc_seconds_count", gateway, "rpc", paying), "{{rpc}}")]),
        Panel("Duration, 99th percentile", "One in a hundred calls takes longer.", "s",
              [(quantile(0.99, "chapar_rpc_seconds", gateway, "rpc", paying), "{{rpc}}")]),
        Panel("Refusals and faults", "FAILED_PRECONDITION is mostly an empty wallet.", "reqps",
              [(rate("chapar_rpc_seconds_count", gateway, "code", paying + ',code!="OK"'), "{{code}}")],
              NOTHING_IS_WELL),
        Panel("Answers given again", "Commands that were decided before: nobody pays twice.", "cps",
              [(rate("chapar_answers_repeated_total", owner, "instance"), "{{instance}}")]),
    ])  # fmt: skip
    books = Section("Money on its way", [
        Panel("Age of transits", "The oldest transfer that left a wallet and has not arrived, of the worst partition.",
              "s", [(gauge("chapar_reactor_lag_seconds", owner, "instance", "max", transit), "{{instance}}")]),
        Panel("Transits under way", "Transfers between partitions that were sent and not acknowledged.", "short",
              [(gauge("chapar_reactor_items", owner, "instance", "sum", transit), "{{instance}}")]),
        Panel("Money under way", "Rials that left a partition and have not arrived in another.", "short",
              [(f"sum(max by (partition) (chapar_ledger_sent_rials{{{owner}}}))"
                f" - sum(max by (partition) (chapar_ledger_applied_rials{{{owner}}}))", "rials")]),
        Panel("Money in doubt", "Rials that left more than 30 s ago and are not known to have arrived, as far as logs "
              "are read.", "short",
              [(gauge("chapar_reactor_carried_late", owner, "instance", "sum", transit), "{{instance}}")]),
        Panel("Rules of the books broken", "Events in the log that break a rule of the books.", "cps",
              [(rate("chapar_ledger_violations_total", owner, "rule"), "{{rule}}")], NOTHING_IS_WELL),
        Panel("Age of cards", "The oldest payment whose card is not in the chat.", "s",
              [(gauge("chapar_reactor_lag_seconds", chat, "instance", "max", cards), "{{instance}}")]),
        Panel("Refused and out of order", "Transits refused for good, and those whose predecessor had not arrived.",
              "cps", [
                  (rate("chapar_reactor_refusals_total", owner, "reactor, reason"), "{{reactor}}: {{reason}}"),
                  (rate("chapar_reactor_holes_total", owner, "reactor"), "{{reactor}}: out of order"),
              ], NOTHING_IS_WELL),
        Panel("Commands made durable", "Entries of blocks that the journal of payments acknowledged; reads of wallets "
              "share empty blocks.", "cps",
              [(rate("chapar_entries_written_total", owner, "instance"), "{{instance}}")]),
        Panel("Appends", "Time until the journal acknowledged a block.", "s",
              [(quantile(share, "chapar_append_seconds", owner, "instance"), f"p{share * 100:g} {{{{instance}}}}")
               for share in (0.5, 0.99)]),
    ])  # fmt: skip
    return Board("chapar-wallet", "Chapar: wallet", "Money, from the call to the card in the chat.", [people, books])


def levels() -> Board:
    """Service levels and how fast their budgets burn."""
    budget = f"on (slo) (1 - {OBJECTIVE})"
    burn = [Panel(f"Pace of burning, {one.long}", f"1 uses the budget of 30 days up in 30 days; an alert comes at "
                  f"{one.factor:g}, if the last {one.short} are as bad.", "short",
                  [(f"{ERRORS}{one.long} / {budget}", "{{slo}}")]) for one in BURNS]  # fmt: skip
    now = [
        Panel("Promised", "The share that has to be good over 30 days.", "percentunit", [(OBJECTIVE, "{{slo}}")],
              look="stat"),
        Panel("Good, 3 days", "The share that was good over the last three days.", "percentunit",
              [(f"1 - {ERRORS}3d", "{{slo}}")], look="stat"),
        Panel("Good, 1 hour", "The share that was good over the last hour.", "percentunit",
              [(f"1 - {ERRORS}1h", "{{slo}}")], look="stat"),
        Panel("Alerts", "Alerts that fire.", "short",
              [('sum by (alertname, slo) (ALERTS{alertstate="firing",slo!=""})', "{{alertname}} {{slo}}")],
              NOTHING_IS_WELL, "stat"),
    ]  # fmt: skip
    errors = Panel("Bad", "The share that was bad over the last 5 minutes.", "percentunit",
                   [(f"{ERRORS}5m", "{{slo}}")])  # fmt: skip
    return Board("chapar-levels", "Chapar: service levels", "What is promised, and what was kept.",
                 [Section("Kept", now), Section("Burning", [errors, *burn]), _canary()])  # fmt: skip


def _canary() -> Section:
    """What `chapar canary` sees."""
    scope = 'job="chapar-canary"'
    return Section("Canary", [
        Panel("Canary: tried", "Messages and transfers of the canary, by step.", "cps",
              [(rate("chapar_canary_attempts_total", scope, "stage"), "{{stage}}")]),
        Panel("Canary: failed", "Steps that failed or were not done in time.", "cps",
              [(rate("chapar_canary_failures_total", scope, "stage"), "{{stage}}")]),
        Panel("Canary: time, 99th percentile", "Delivery ends at the reader, arrival with the card that says the money "
              "is there.", "s", [(quantile(0.99, "chapar_canary_seconds", scope, "stage"), "{{stage}}")]),
        Panel("Canary: unsettled", "Commands whose outcome is not known; they are sent again under their own ids.",
              "short", [(gauge("chapar_canary_unsettled", scope, "instance"), "{{instance}}")]),
        Panel("Canary: money missing", "Rials that both wallets hold less than they once did.", "short",
              [(gauge("chapar_canary_missing_rials", scope, "instance", "max"), "{{instance}}")]),
    ])  # fmt: skip


def capacity() -> Board:
    """What work costs and how much room is left."""
    scope = f'job=~"$job",{INSTANCE}'
    written = "sum(rate(chapar_entries_written_total[$__rate_interval]))"
    use = Section("Use", [
        Panel("CPU", "Cores used, by service.", "short",
              [(rate("process_cpu_seconds_total", scope, "job"), "{{job}}")]),
        Panel("CPU of the busiest process", "One process uses one core at most.", "percentunit",
              [(f"max by (job) (rate(process_cpu_seconds_total{{{scope}}}[$__rate_interval]))", "{{job}}")]),
        Panel("Memory", "Memory held, by service.", "bytes",
              [(gauge("process_resident_memory_bytes", scope, "job"), "{{job}}")]),
        Panel("File descriptors", "Share of those allowed, of the worst process.", "percentunit",
              [(f"max by (job) (process_open_fds{{{scope}}} / process_max_fds{{{scope}}})", "{{job}}")]),
    ])  # fmt: skip
    cost = Section("What work costs", [
        Panel("CPU a command", "CPU time of all services for each command made durable.", "s",
              [(f"sum(rate(process_cpu_seconds_total[$__rate_interval])) / {written}", "all services")]),
        Panel("Commands", "Commands made durable, by service.", "cps",
              [(rate("chapar_entries_written_total", 'job=~"$job"', "job"), "{{job}}")]),
        Panel("Memory a document", "Memory of owners for each document that they remember.", "bytes",
              [('sum by (job) (process_resident_memory_bytes{job=~"$job"})'
                ' / sum by (job) (chapar_documents_in_memory{job=~"$job"} > 0)', "{{job}}")]),
        Panel("Memory a subscription", "Memory of gateways for each live inbox.", "bytes",
              [('sum(process_resident_memory_bytes{job="chapar-gateway"})'
                ' / sum(chapar_subscriptions_open{job="chapar-gateway"} > 0)', "gateways")]),
    ])  # fmt: skip
    room = Section("Room left", [
        Panel("Event loop, 99th percentile", "A process that is late to wake is full.", "s",
              [(quantile(0.99, "chapar_event_loop_lag_seconds", scope, "job"), "{{job}}")]),
        Panel("Entries a block", "A block takes up to 1,000.", "short",
              [(quantile(0.99, "chapar_block_entries", 'job=~"$job"', "job"), "p99 {{job}}")]),
        Panel("Subscriptions a gateway", "Live inboxes that clients have open.", "short",
              [(gauge("chapar_subscriptions_open", of_job("chapar-gateway"), "instance"), "{{instance}}")]),
        Panel("Partitions a process", "Fewest and most partitions that processes of a service decide.", "short", [
            (gauge("chapar_partitions_owned", 'job=~"$job"', "job", "min"), "fewest {{job}}"),
            (gauge("chapar_partitions_owned", 'job=~"$job"', "job", "max"), "most {{job}}"),
        ]),
    ])  # fmt: skip
    return Board(
        "chapar-capacity", "Chapar: capacity", "What work costs and how much room is left.", [use, cost, room],
        [Choice("job", "Service", 'label_values(up{job=~"chapar-.+"}, job)'),
         Choice("instance", "Process", 'label_values(up{job=~"$job"}, instance)')],
    )  # fmt: skip


def boards() -> Sequence[Board]:
    """All of them."""
    return [*(service() for service in SERVICES), engine(), kafka(), wallet(), levels(), capacity()]
