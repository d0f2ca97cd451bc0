"""What operators look at: dashboards, service levels and alerts, each made from one table in this package.

Downward: `known` has every series there is, `promql` reads queries, `panels` makes dashboards of those in `boards`,
`levels` and `alerts` are rules for Prometheus, `lint` says what is wrong with any of it. `python -m tools.watch` writes
`deploy/grafana` and `deploy/prometheus/rules`; `tools.verify` compares.
"""
