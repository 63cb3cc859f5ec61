"""The pipelines: one folder each, compiled to the `pipeline.yaml` beside `pipeline.py`."""
