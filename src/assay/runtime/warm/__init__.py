"""A process that has MLflow loaded before a task asks for it: local runs only.

Importing MLflow and its database takes longer than all that a cached run does besides, and every
task is a process of its own. So a local run starts one process at once (`start`), which imports
them while other tasks run (`server`). A task whose step says `asks_registry` has its step done
there (`client`), in a fork that takes over the task's output, folder and environment:

1. The task connects, and sends its file descriptors 0 to 2 and the request.
2. The fork becomes as the task is, finds the step, and says that it is ready.
3. The task says go. Nothing has been done before: whatever fails, the task does the step itself.
4. The fork executes the step and answers with the execution or the error. When it ends without an
   answer the task fails: what the step did is not known, and it must not be done twice in silence.

The fork watches its connection: when the task ends, however it ends, so does the fork. The process
itself ends with the run, which it notices by the end of its standard input.

docs/adr/0007 says why, what it costs, and when it should go.
"""

from typing import Final

GRACE_SECONDS: Final = 5
"""What a fork has for cleaning up when its task is gone."""
