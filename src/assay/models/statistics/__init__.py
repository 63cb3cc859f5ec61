"""Statistics of predictions: metrics, confidence intervals, slices, paired comparison.

Every metric is a function of row weights: weights of 1 give the estimate, resampling counts give
the bootstrap distribution. docs/evaluation.md has the formulas and their sources.
"""
