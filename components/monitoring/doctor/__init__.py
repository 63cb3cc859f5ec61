"""What a run needs of the cluster, checked from inside of a pod."""
