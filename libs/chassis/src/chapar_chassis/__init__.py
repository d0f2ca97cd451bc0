"""What every Chapar process shares: settings, servers, routing tables, errors, telemetry, start and shutdown.

`process` starts and ends everything in order, `settings` reads the environment, `api` is how a service describes its
RPCs, `owner_server` serves them over the engine, `routing` reads the method options, `refusals` is the one place that
maps errors to statuses, `telemetry` has logs, metrics and traces.
"""
