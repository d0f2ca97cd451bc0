"""`chapar verify-log`: recomputes what a data folder's journals claim, from the files alone.

It shares nothing with the services but the protos: the chain, the fold rule and the ledger's laws are written here a
second time, so that a mistake in the engine does not vouch for itself. Nothing is decrypted and nothing is written.

Flows in: `<data>/<service>/journal.db`, read in one short transaction each, also while the services run; or the records
of a journal that is kept elsewhere, from whoever can read it. Flows out: a `ServiceReport` a service.
"""

from chapar_client.verifier._report import Finding, PartitionReport, ServiceReport, verify_folder, verify_records

__all__ = ["Finding", "PartitionReport", "ServiceReport", "verify_folder", "verify_records"]
