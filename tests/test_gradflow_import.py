"""Without torch, or before it is asked for: what fastsig.gradflow says, and what loads it."""

from __future__ import annotations

from processes import error_of, printed, run_python

NO_TORCH = "import sys; sys.modules['torch'] = None"


def test_the_error_names_the_extra() -> None:
    error = error_of(f"{NO_TORCH}; import fastsig.gradflow")
    assert error == "ImportError: fastsig.gradflow needs torch 2.4 or newer: pip install 'fastsig-kernels[torch]'"


def test_the_command_without_torch_is_one_line_and_has_its_help() -> None:
    done = run_python(f"{NO_TORCH}; from fastsig.cli.main import main; raise SystemExit(main(['gradflow']))")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fastsig gradflow: fastsig.gradflow needs torch 2.4 or newer: pip install 'fastsig-kernels[torch]'\n"
    done = run_python(f"{NO_TORCH}; from fastsig.cli.main import main; raise SystemExit(main(['gradflow', '--help']))")
    assert (done.returncode, done.stderr) == (0, "")


def test_import_fastsig_does_not_load_it() -> None:
    assert printed("import fastsig, fastsig.cli.main; print('fastsig.gradflow' in sys.modules, 'torch' in sys.modules)") == "False False"
