"""The component catalog: a folder per stage, `component.py` for KFP, `step.py` for the work."""
