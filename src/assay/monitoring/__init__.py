"""Monitoring plans: what is monitored in production, and how soon a silent failure is detected.

```
plan.py        parser of monitoring.yaml
schema.py      JSON Schema of the same format
signals.py     input of the detectors
bins.py        binning of distributions
detectors.py   comparison of a window with the reference
inject.py      fault injection into held-out rows
replay.py      rows from a fault to its alarm, and false alarms
monitor.py     the same detectors on a stream of rows
judge.py       completeness of a plan, and its evidence
draft.py       first version of a plan, for review
```

docs/monitoring.md explains the numbers. Importing this package imports neither pandas nor
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
