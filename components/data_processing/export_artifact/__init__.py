"""A dataset or model as an ordinary KFP artifact."""
