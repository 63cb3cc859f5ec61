"""Monitoring plans: what is watched in production, and how long a silent failure stays silent.

```
plan.py        monitoring.yaml, parsed with places
schema.py      the same as a JSON Schema
signals.py     what detectors look at
bins.py        distributions as counts
detectors.py   a window beside the reference: an alarm or none
inject.py      faults to put into held-out rows
replay.py      rows from a fault to its alarm, and false alarms
monitor.py     rows as they come, through the same detectors
judge.py       is the plan complete, and what does it answer
draft.py       a first plan, for a person to review
```

docs/monitoring.md says what the numbers mean. Importing this package imports neither pandas nor
SciPy.
"""

from assay.monitoring.draft import draft
from assay.monitoring.judge import Judgement, judge
from assay.monitoring.monitor import Alarm, Monitor
from assay.monitoring.plan import FILE_NAME, FORMAT, Detector, Plan, parse_plan
from assay.monitoring.replay import Findings, Replay, check_numbers, replay
from assay.monitoring.schema import json_schema

__all__ = [
    "FILE_NAME",
    "FORMAT",
    "Alarm",
    "Detector",
    "Findings",
    "Judgement",
    "Monitor",
    "Plan",
    "Replay",
    "check_numbers",
    "draft",
    "json_schema",
    "judge",
    "parse_plan",
    "replay",
]
