"""Numbers about predictions: metrics, bootstrap intervals, slices, paired comparison.

Every metric is a function of row weights: one row of ones gives the estimate, rows of resampling
counts give its bootstrap distribution. docs/evaluation.md has the formulas and their sources.
"""
