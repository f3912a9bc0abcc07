"""Runs `lmsaes tools` for the tests of the tools."""

from typer.testing import CliRunner

from lmsaes.cli.app import app


def tool(*words: object) -> str:
    """Runs a tool that must succeed; returns what it printed."""
    result = CliRunner().invoke(app, ["tools", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object) -> str:
    """Runs a tool that must fail in one line and a hint; returns them."""
    result = CliRunner().invoke(app, ["tools", *map(str, words)])
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) <= 2
    return result.stderr
