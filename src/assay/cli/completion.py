"""`assay completion`: print a completion script for the shell."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    In bash and zsh: eval "$(assay completion bash)", or zsh. In fish: assay completion fish |
    source
    """
    from assay.cli import cli

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"no completion for {shell}")
    # The script only names the command and the completion variable. Unlike click's own `source`,
    # which starts bash to get its version, this starts no shell.
    script = completion(cli, {}, "assay", "_ASSAY_COMPLETE")
    click.echo(script.source_template % script.source_vars())
