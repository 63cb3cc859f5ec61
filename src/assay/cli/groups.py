"""Groups of commands, each imported only when it is called."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used.

    Args:
        name: Name of the group.
        commands: For each name, the module that has it as `command`, and its line in the help.
        **attributes: As for `click.Group`.
    """

    def __init__(
        self, name: str, commands: Mapping[str, tuple[str, str]], **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.modules = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of the help."""
        del ctx
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        if cmd_name not in self.modules:
            return None
        module, _ = self.modules[cmd_name]
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help without importing any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.modules.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and lines of the help, without importing any command."""
        commands = [
            CompletionItem(name, help=text)
            for name, (_, text) in self.modules.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does, and suggest a similar name if it does not exist."""
        if args and args[0] not in self.modules and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.modules, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; see: {ctx.command_path} --help"
            ctx.fail(f"no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)
