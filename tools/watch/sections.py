"""Sections of panels that several dashboards have, each for the processes that a scope selects."""

from __future__ import annotations

from collections.abc import Sequence

from tools.watch.levels import OURS
from tools.watch.panels import NOTHING_IS_WELL, Panel, Section

INSTANCE = 'instance=~"$instance"'


def of_job(job: str) -> str:
    """The scope of one service's dashboard: the chosen processes of a job."""
    return f'job="{job}",{INSTANCE}'


def rate(counter: str, scope: str, by: str, more: str = "") -> str:
    """How fast a counter grows, by labels."""
    return f"sum by ({by}) (rate({counter}{{{scope}{more}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, scope: str, by: str, more: str = "") -> str:
    """A quantile of a histogram, by labels."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', scope, f'{by}, le', more)})"


def gauge(name: str, scope: str, by: str, how: str = "sum", more: str = "") -> str:
    """A reading of all processes together, by labels."""
    return f"{how} by ({by}) ({name}{{{scope}{more}}})"


def _times(histogram: str, scope: str, by: str) -> Sequence[tuple[str, str]]:
    return [(quantile(share, histogram, scope, by), f"p{share * 100:g} {{{{{by}}}}}") for share in (0.5, 0.99)]


def calls(scope: str) -> Section:
    """Rate, errors and duration of each method."""
    ours = f',code=~"{OURS}"'
    return Section("Calls", [
        Panel("Calls", "Calls that ended, by method.", "reqps",
              [(rate("chapar_rpc_seconds_count", scope, "rpc"), "{{rpc}}")]),
        Panel("Refusals and faults", "Calls that ended with another status than OK, by status. Most name the caller's "
              "mistake.", "reqps",
              [(rate("chapar_rpc_seconds_count", scope, "rpc, code", ',code!="OK"'), "{{code}} {{rpc}}")],
              NOTHING_IS_WELL),
        Panel("Our faults", f"Calls that ended with {OURS.replace('|', ', ')}, by method.", "reqps",
              [(rate("chapar_rpc_seconds_count", scope, "rpc", ours), "{{rpc}}")], NOTHING_IS_WELL),
        Panel("Duration, 99th percentile", "One in a hundred calls of a method takes longer. Of streams it is how long "
              "they stay open.", "s", [(quantile(0.99, "chapar_rpc_seconds", scope, "rpc"), "{{rpc}}")]),
        Panel("Duration, median", "Half the calls of a method take longer.", "s",
              [(quantile(0.5, "chapar_rpc_seconds", scope, "rpc"), "{{rpc}}")]),
        Panel("Calls being served", "Calls under way, by method; open streams among them.", "short",
              [(gauge("chapar_rpc_running", scope, "rpc"), "{{rpc}}")]),
    ])  # fmt: skip


def deciding(scope: str, by: str = "instance") -> Section:
    """Commands, blocks and appends."""
    each = f"{{{{{by}}}}}"
    return Section("Deciding", [
        Panel("Commands made durable", "Entries of blocks that the journal acknowledged.", "cps",
              [(rate("chapar_entries_written_total", scope, by), each)]),
        Panel("Appends", "Time until the journal acknowledged a block or a claim.", "s",
              _times("chapar_append_seconds", scope, by)),
        Panel("Entries a block", "How many commands share an append, on average.", "short",
              [(f"{rate('chapar_block_entries_sum', scope, by)} / {rate('chapar_block_entries_count', scope, by)}",
                each)]),
        Panel("Commands waiting", "Commands that wait to be decided.", "short",
              [(gauge("chapar_commands_waiting", scope, by), each)]),
        Panel("Refused for load", "Commands and reads refused because too much waited, or because they would have "
              "missed their deadline.", "cps", [
                  (rate("chapar_commands_overloaded_total", scope, by), f"waiting room full {each}"),
                  (rate("chapar_commands_too_late_total", scope, by), f"too late {each}"),
                  (rate("chapar_confirmations_overloaded_total", scope, by), f"confirmations {each}"),
              ]),
        Panel("Answers given again", "Commands that were decided before and got their first answer again: clients and "
              "reactors that tried again.", "cps", [(rate("chapar_answers_repeated_total", scope, by), each)]),
    ])  # fmt: skip


def owning(scope: str, by: str = "instance") -> Section:
    """Partitions and who decides them."""
    each = f"{{{{{by}}}}}"
    return Section("Owning", [
        Panel("Partitions decided", "Partitions that are decided here.", "short",
              [(gauge("chapar_partitions_owned", scope, by), each)]),
        Panel("Partitions in trouble", "Partitions held in which something is wrong: not decided yet, alarmed, or the "
              "store's writer is stuck.", "short", [(gauge("chapar_partitions_troubled", scope, by), each)]),
        Panel("Age of the last heartbeat", "Older than 1 s: reads wait. Older than 5 s: the process decides nothing.",
              "s", [(gauge("chapar_heartbeat_age_seconds", scope, by, "max"), each)]),
        Panel("Members seen", "Processes of the service that are alive, as far as each has read.", "short",
              [(gauge("chapar_members_alive", scope, by, "min"), each)]),
        Panel("Partitions changing hands", "Partitions that others took over, and releases that were cut short.", "cps",
              [(rate("chapar_partitions_lost_total", scope, by), f"lost {each}"),
               (rate("chapar_partitions_released_late_total", scope, by), f"released late {each}")]),
        Panel("Records read by owners", "Records of logs read at a take-over or in doubt.", "cps",
              [(rate("chapar_records_read_total", scope, by), each)]),
    ])  # fmt: skip


def storing(scope: str, by: str = "instance") -> Section:
    """The store: how far it is behind, what is asked of it."""
    each = f"{{{{{by}}}}}"
    return Section("Store", [
        Panel("Age of the store", "How old the checkpoint of the worst partition is, where its log is newer.", "s",
              [(gauge("chapar_projection_lag_seconds", scope, by, "max"), each)]),
        Panel("Documents not stored yet", "Documents and answers that wait to be written to the store.", "short",
              [(gauge("chapar_documents_unstored", scope, by), each)]),
        Panel("Documents written", "Documents written to the store.", "cps",
              [(rate("chapar_documents_projected_total", scope, by), each)]),
        Panel("Documents in memory", "Documents that owners remember.", "short",
              [(gauge("chapar_documents_in_memory", scope, by), each)]),
        Panel("Loads", "Time until the store answered a load of documents that memory did not have.", "s",
              _times("chapar_load_seconds", scope, by)),
        Panel("Failures of the store", "Writes, loads and deletions that the store refused or did not answer.", "cps", [
            (rate("chapar_projections_failed_total", scope, by), f"writes {each}"),
            (rate("chapar_loads_failed_total", scope, by), f"loads {each}"),
            (rate("chapar_purges_failed_total", scope, by), f"deletions {each}"),
        ]),
    ])  # fmt: skip


def following(scope: str) -> Section:
    """Relays and reactors."""
    return Section("What follows from the log", [
        Panel("Age of what reactors have to do", "The oldest event under way, of the worst partition.", "s",
              [(gauge("chapar_reactor_lag_seconds", scope, "job, reactor", "max"), "{{reactor}} of {{job}}")]),
        Panel("Under way", "Commands and advances that reactors have sent and nobody has acknowledged.", "short",
              [(gauge("chapar_reactor_items", scope, "job, reactor"), "{{reactor}} of {{job}}")]),
        Panel("Sent again", "Batches of commands and advances that had to be sent again.", "cps",
              [(rate("chapar_reactor_retries_total", scope, "job, reactor"), "{{reactor}} of {{job}}")],
              NOTHING_IS_WELL),
        Panel("Refused and failed", "Commands of reactors refused for good, and reactions that failed.", "cps", [
            (rate("chapar_reactor_refusals_total", scope, "job, reactor, reason"),
             "{{reactor}} of {{job}}: {{reason}}"),
            (rate("chapar_reactor_failures_total", scope, "job, reactor"), "{{reactor}} of {{job}} failed"),
        ], NOTHING_IS_WELL),
    ])  # fmt: skip


def process(scope: str) -> Section:
    """The process itself."""
    return Section("Process", [
        Panel("CPU", "Cores used.", "short", [(rate("process_cpu_seconds_total", scope, "instance"), "{{instance}}")]),
        Panel("Memory", "Memory held.", "bytes",
              [(gauge("process_resident_memory_bytes", scope, "instance"), "{{instance}}")]),
        Panel("Event loop", "How late the event loop was to wake a sleeper: whatever holds it up holds up everything.",
              "s", _times("chapar_event_loop_lag_seconds", scope, "instance")),
        Panel("Incidents", "Errors that nobody expected: each is a bug, and in the log.", "cps",
              [(rate("chapar_incidents_total", scope, "instance"), "{{instance}}")]),
    ])  # fmt: skip
