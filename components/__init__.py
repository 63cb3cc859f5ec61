"""The component catalog: one folder per stage, `component.py` for KFP and `step.py` for the work."""
