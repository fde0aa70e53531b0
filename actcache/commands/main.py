"""The command line: ``actcache-compile``, and ``actcache`` with ``compile`` as its first sub-command; the others are in
``actcache.commands``.

Written with click: the same command object serves both programs, wrong usage exits with 2 as ours does, and
options are declared once, with their types, where they are documented.

What a call reports goes to stdout; progress and errors go to stderr. Exit codes: 0 written, 3 nothing worth
caching, 2 bad input, 1 our own failure, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from actcache._version import __version__
from actcache.base.files import file_error
from actcache.base.per_call import ACCOUNT, CONTROL, NAMESPACE
from actcache.commands import compile_report as report
from actcache.commands.auto import auto_command
from actcache.commands.diff import diff_command
from actcache.commands.explain_miss import explain_miss_command
from actcache.commands.inspect import inspect_command
from actcache.commands.replay import replay_command
from actcache.commands.report import report_command
from actcache.commands.run import run_command
from actcache.commands.store import store_command
from actcache.commands.terminal import as_ours, fail, give_up, new_console, progress, stdout
from actcache.commands.top import top_command
from actcache.errors import (
    EXIT_BAD_INPUT,
    EXIT_OUR_FAILURE,
    InvalidOption,
)
from actcache.serve.byte_size import ByteSize

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

if TYPE_CHECKING:
    from actcache.compile.result import CompileResult

_INTERRUPTED = 130

_EXAMPLES = """\b
Examples:
  actcache-compile encoder.onnx
      writes encoder.cached.onnx, measured and checked on made-up inputs
  actcache-compile encoder.onnx -o out.onnx --sample texts.npz --explain
      measures and checks on your inputs (numpy.savez), says why parts are not cached
  actcache-compile encoder.onnx --trace calls/ --explain
      chooses regions by what repeats in your recorded calls (actcache.record)
  actcache-compile clip.onnx --region image=pixel_values:image_embeds
      caches exactly the part of the model between these tensors
  actcache-compile encoder.onnx --outputs sentence_embedding --profile encoder.profile
      keeps only that output; with the same profile, the result is the same file again
  actcache-compile model.onnx --json > result.json

\b
Exit codes:
  0 written   3 nothing worth caching (nothing is written)
  2 bad input   1 a failure of actcache itself"""


_GROUP_EXAMPLES = """\b
Examples:
  actcache compile encoder.onnx
      writes encoder.cached.onnx
  actcache inspect encoder.cached.onnx
      what is cached, and what that saves
  actcache COMMAND --help
      options and examples of a command"""


#: Options whose value may be left out, and what it is then.
_NAMED = {"--namespace-input": NAMESPACE, "--control-input": CONTROL, "--account-output": ACCOUNT}


class _CompileCommand(click.Command):
    """Takes MODEL for itself where it follows an option whose value may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter:
            named = [f"{a}={_NAMED[a]}" if a in _NAMED else a for a in given]
            if named == given:
                raise
            return super().parse_args(ctx, named)


def _named_option(option: str, text: str) -> Callable[[_Decorated], _Decorated]:
    default = _NAMED[option]
    return click.option(option, is_flag=False, flag_value=default, metavar="[NAME]", help=f"{text}  [NAME: {default}]")


@click.command(
    name="compile",
    cls=_CompileCommand,
    short_help="Write a copy of a model that reuses results.",
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.cached.onnx]")
@click.option(
    "--granularity",
    type=click.Choice(["auto", "row", "prefix", "tensor"]),
    default="auto",
    show_default=True,
    help="What one cache entry covers: one row of the batch (row); one position of a sequence, found again after the"
    " same beginning (prefix); or one whole call (tensor). auto: what is proven and saves most.",
)
@click.option(
    "--sample", "samples", multiple=True, metavar="FILE.npz", help="Inputs to measure and verify on. Repeatable."
)
@click.option(
    "--trace",
    multiple=True,
    metavar="PATH",
    help="Recorded calls, in order: a folder of .npz files, one .npz file, or a .jsonl file with a path per line. The"
    " first half of the calls decides which regions are cached; the second half measures the result. Repeatable.",
)
@click.option(
    "--budget",
    type=ByteSize(),
    metavar="SIZE",
    help="Size of the store where the model will run: 512MiB, or 10% of the memory of this machine. Used with --trace,"
    " and for prefixes.  [default: 256MiB]",
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="NAME=TENSOR,..:TENSOR,..",
    help="Cache the part of the model between the first tensors (its inputs) and the second (its results). Repeatable.",
)
@click.option(
    "--min-saving",
    type=click.FloatRange(min=0),
    metavar="MS",
    help="Milliseconds that a hit must save; 0 caches everything that is safe.  [default: several times what a lookup"
    " costs]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="T",
    help="Largest accepted difference from the original's outputs, relative to their largest value.  [default: by"
    " type, 1e-4 for float32; or twice what the original differs by between batches, threads and optimisation levels]",
)
@click.option(
    "--exact",
    type=click.Choice(["bits"]),
    help="Cache only regions whose results equal the original's in every bit. Takes longer to verify.",
)
@click.option(
    "--dynamic-batch",
    is_flag=True,
    help="MODEL takes one batch size only: write a model that takes any, if its rows are proven independent.",
)
@click.option("--no-verify", is_flag=True, help="Do not run the result against the original.")
@click.option(
    "--pure-op",
    "pure_ops",
    multiple=True,
    metavar="DOMAIN:OP",
    help="Declare that the outputs of an unknown operator depend on its inputs alone, so that it may be"
    " cached. Repeatable.",
)
@click.option(
    "--custom-op-library",
    "custom_op_libraries",
    multiple=True,
    metavar="FILE",
    help="A library of custom operators that MODEL itself needs. Repeatable.",
)
@click.option(
    "--outputs",
    metavar="NAME,..",
    help="The outputs that callers read. The compiled model has only these; others are neither computed nor kept."
    "  [default: all]",
)
@click.option(
    "--reads",
    "reads",
    multiple=True,
    metavar="OUTPUT:last",
    help="Declare that callers read only the last position of OUTPUT. The others are not computed: they are NaN."
    " Repeatable.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Store measured costs in FILE, and reuse those that are in it: compiling MODEL again then gives the same"
    " bytes.",
)
@click.option(
    "--single-file", is_flag=True, help="Write all weights into the model file itself. Loading it takes more memory."
)
@_named_option("--namespace-input", "Add a string input for the call's own namespace; it must be fed in every call.")
@_named_option("--control-input", "Add a string input for the call's control word: use (default), bypass or refresh.")
@_named_option(
    "--account-output", "Add an int64 output [regions, 3] with the hits, misses and bypassed rows of the call."
)
@click.option("--explain", is_flag=True, help="Explain for every part of the model why it is or is not cached.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--debug", is_flag=True, help="Print the traceback if actcache itself fails.")
@click.version_option(__version__, prog_name="actcache", message="%(prog)s %(version)s")
def compile_command(as_json: bool, quiet: bool, debug: bool, explain: bool, **options: Any) -> None:
    """Write a copy of MODEL that reuses results it has computed before.

    The copy runs in plain onnxruntime with actcache's custom-op library and gives the same outputs as MODEL. A part of
    the model that is cached is called a region.
    """
    model: Path = options["model"]
    output = stdout(as_json)
    try:
        with progress(quiet or as_json) as stage:
            result = _compile(stage, **options)
    except (KeyboardInterrupt, click.exceptions.Exit):
        raise
    except Exception as error:  # never a bare traceback
        if as_json:
            output(report.failure_json(as_ours(error), model))
        fail(error, debug, explain and not as_json)
    if as_json:
        output(report.to_json(result.to_json()))
    elif not quiet:
        report.print_result(new_console(), result, explain)


@click.group(epilog=_GROUP_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="actcache", message="%(prog)s %(version)s")
def umbrella() -> None:
    """A memoising compiler for ONNX Runtime."""


for command in (
    compile_command,
    auto_command,
    inspect_command,
    diff_command,
    explain_miss_command,
    replay_command,
    report_command,
    run_command,
    store_command,
    top_command,
):
    umbrella.add_command(command)


def compile_main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program ``actcache-compile``."""
    _enter(compile_command, args, "actcache-compile")


def main(args: Sequence[str] | None = None, prog_name: str = "actcache") -> NoReturn:
    """Run the program ``actcache``."""
    _enter(umbrella, args, prog_name)


def _enter(command: click.Command, args: Sequence[str] | None, prog_name: str) -> NoReturn:
    """Run a click command and exit with our codes; click's own errors are wrong usage."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clean up, as on Ctrl-C
    try:
        code = command.main(args, prog_name=prog_name, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_BAD_INPUT)
    except click.ClickException as error:
        _fail_usage(error, prog_name, sys.argv[1:] if args is None else args)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout went away, as `| head` does
        give_up(sys.stdout)
        sys.exit(EXIT_OUR_FAILURE)
    except OSError as error:  # commands report files of their own: this is their answer
        give_up(sys.stdout)
        fail(file_error(error, "standard output"), debug=False)
    sys.exit(code if isinstance(code, int) else 0)


def _fail_usage(error: click.ClickException, prog_name: str, args: Sequence[str]) -> NoReturn:
    """Print one line about wrong usage; who asked for JSON gets an object here too."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else prog_name
    wrong = InvalidOption(error.format_message().rstrip("."), hint=f"see '{command} --help'")
    if "--json" in args:
        print(report.failure_json(wrong, None), flush=True)
    print(f"error: {wrong}", file=sys.stderr)
    sys.exit(EXIT_BAD_INPUT)


def _compile(stage: Callable[[str], None], **options: Any) -> CompileResult:
    """Check the options that click cannot, and compile."""
    from actcache.base.region_spec import RegionSpec

    for name in options["pure_ops"]:
        if ":" not in name or name.endswith(":"):
            raise InvalidOption(
                f"--pure-op '{name}' does not name an operator", hint="write DOMAIN:OP, as in my.ops:Foo"
            )
    regions = [RegionSpec.parse(text) for text in options["regions"]]
    stage("loading onnx and onnxruntime")
    from actcache.compile.driver import compile_model  # seconds of imports: after the options are known to be good

    return compile_model(
        options["model"],
        options["output"],
        samples=options["samples"],
        trace=options["trace"],
        budget_bytes=options["budget"],
        granularity=options["granularity"],
        regions=regions or None,
        min_saving=options["min_saving"],
        tolerance=options["tolerance"],
        exact=options["exact"],
        dynamic_batch=options["dynamic_batch"],
        verify=not options["no_verify"],
        pure_ops=options["pure_ops"],
        custom_op_libraries=options["custom_op_libraries"],
        single_file=options["single_file"],
        outputs=[name for name in (options["outputs"] or "").split(",") if name],
        reads=options["reads"],
        profile=options["profile"],
        namespace_input=options["namespace_input"],
        control_input=options["control_input"],
        account_output=options["account_output"],
        progress=stage,
    )
