"""The composition root: builds what a process of each kind consists of, from its settings.

Everything else gets what it works with as arguments. So this package may import all others, and it does so
within its functions: the API's environment holds no engine, and a command loads only what it uses. Only
entry points (commands, the processes behind a port, test servers) import it.
"""

from stemline.runtime.bootstrap.api_process import api, serve_api
from stemline.runtime.bootstrap.callback_process import callback_worker
from stemline.runtime.bootstrap.celery_processes import beat, celery_app, serve_flower
from stemline.runtime.bootstrap.separation_process import separation_worker

__all__ = ["api", "beat", "callback_worker", "celery_app", "separation_worker", "serve_api", "serve_flower"]
