"""`--json`: one object as the last line of standard output, everything else on standard error."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from portal.commands import JsonCommand, table_lines


class Chatty(JsonCommand):
    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--fail", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        print("a library prints")
        self.stdout.write("the command writes")
        self.say("the command says")
        self.emit({"records": 3, "by_type": {"h100": 7200}, "differences": []})
        if options["fail"]:
            raise CommandError("no")
        print("and prints again")


def test_json_is_the_whole_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    call_command(Chatty(), "--json")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"records": 3, "by_type": {"h100": 7200}, "differences": []}
    assert out.count("\n") == 1
    assert "a library prints" in err
    assert "the command writes" in err
    assert "the command says" in err


def test_json_goes_to_the_stream_it_was_given() -> None:
    out, err = io.StringIO(), io.StringIO()
    call_command(Chatty(), "--json", stdout=out, stderr=err)
    assert json.loads(out.getvalue())["records"] == 3
    assert "the command writes" in err.getvalue()


def test_a_failed_command_prints_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError):
        call_command(Chatty(), "--json", "--fail")
    assert capsys.readouterr().out == ""


def test_without_json_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    call_command(Chatty())
    out = capsys.readouterr().out
    assert "records  3" in out
    assert "h100  7,200" in out
    assert "(none)" in out


def test_a_list_of_objects_has_one_header() -> None:
    assert table_lines({"changes": [{"object": "qos", "to": 1}, {"object": "user", "to": 20}]}) == [
        "",
        "changes:",
        "  object  to",
        "  qos     1",
        "  user    20",
    ]
