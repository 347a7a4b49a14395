"""Where caches lie, by the custom of each system."""

from __future__ import annotations

import os

import pytest
from processes import printed

from fastsig.dispatch import thresholds
from fastsig.kernels import code_cache
from fastsig.measure.tune import main as tune
from fastsig.system import directories


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FASTSIG_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for platform, part in (("linux", ".cache/fastsig"), ("darwin", "Library/Caches/fastsig"), ("win32", "fastsig/cache")):
        monkeypatch.setattr(directories.sys, "platform", platform)
        assert str(directories.cache_directory()).endswith(part)
    monkeypatch.setattr(directories.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert directories.cache_directory() == "/somewhere/fastsig"


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "FASTSIG_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_user_without_a_home_directory_has_no_settings_and_no_cache(
    platform: str, no_home: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(directories.sys, "platform", platform)
    assert directories.config_dir() is None
    assert directories.cache_directory() is None
    assert thresholds.load("0") == (thresholds.Thresholds(), "")
    assert code_cache.problem(code_cache.users_directory()) == "this user has no home directory"
    code_cache.keep(None, "name", "key", b"code")
    assert code_cache.load(None, "name", "key") is None
    assert tune(["--reset"]) == 1
    assert "this user has no home directory to keep settings in; set XDG_CONFIG_HOME" in capsys.readouterr().err


@pytest.mark.parametrize("home", ["", "relative", "/nonexistent", "/dev/null"])
def test_calls_do_without_a_home_directory(home: str, pytestconfig: pytest.Config, need_c: None) -> None:
    """And warn of nothing; root's number has a home in the system's list, that of nobody's has none, who may not read Numba's files."""
    code = (
        "import os, numpy as np, fastsig as fs; [os.environ.pop(n, None) for n in ('XDG_CONFIG_HOME', 'XDG_CACHE_HOME')]\n"
        "if hasattr(os, 'geteuid') and os.geteuid() == 0: os.setuid(54321)\n"
        "print(fs.sigmoid(np.zeros(1 << 17, 'f4'))[0], fs.explain(np.zeros(3)).split('; ')[-1], fs.bce_with_logits([0.0], [1]) > 0.5)"
    )
    assert printed(code, pytestconfig, HOME=home) == "0.5 thresholds built in True"
