"""The local stack: real servers and every process of the service on one machine, all on loopback.

:mod:`stemline.deploy.local.processes` manages the processes with :mod:`subprocess`. Known libraries would be
more code here, not less:

- Supervisor orders starts by priority, not by readiness, and counts restarts only until a process has run for
  ``startsecs``. Waiting and counting would remain ours, and a generated configuration and an XML-RPC client
  would be added, and one more process.
- honcho neither waits for readiness nor restarts; when one process ends, it ends all of them.
- circus restarts and has hooks for readiness, but brings ZeroMQ, Tornado and psutil.

None of them ends the processes when it is itself killed with ``kill -9``.
"""
