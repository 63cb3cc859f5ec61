"""The ground that runs stand on, looked at from inside of the cluster."""
