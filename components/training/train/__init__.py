"""A scikit-learn estimator with its preprocessing, fitted bit-reproducibly."""
