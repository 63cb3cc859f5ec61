"""`assay`, and `python -m assay`."""


def main() -> None:
    """Run the command line; Ctrl-C while it is being imported is an exit code and no trace."""
    try:
        from assay.cli import main as command
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    command()


if __name__ == "__main__":
    main()
