"""Configurations are read exactly, merged in order, and every request is checked."""

from pathlib import Path

import pytest

from harness.errors import BuildError, UsageError
from harness.kernel import build, kconfig
from harness.model import VARIANTS, Variant

TEXT = """\
# A comment.
CONFIG_A=y
CONFIG_B=m
CONFIG_NUMBER=-1
CONFIG_HEX=0x1f
CONFIG_LSM="landlock,yama,bpf"
CONFIG_EMPTY=""
CONFIG_QUOTED="say \\"hi\\" # no comment"
# CONFIG_OFF is not set

"""


def test_parse() -> None:
    assert kconfig.parse(TEXT, "x") == {
        "CONFIG_A": "y",
        "CONFIG_B": "m",
        "CONFIG_NUMBER": "-1",
        "CONFIG_HEX": "0x1f",
        "CONFIG_LSM": '"landlock,yama,bpf"',
        "CONFIG_EMPTY": '""',
        "CONFIG_QUOTED": '"say \\"hi\\" # no comment"',
        "CONFIG_OFF": "n",
    }


def test_what_is_rendered_is_read_back() -> None:
    config = kconfig.parse(TEXT, "x")
    assert kconfig.parse(kconfig.render(config), "y") == config


@pytest.mark.parametrize("line", ["CONFIG_A", "A=y", "CONFIG_A=y z", 'CONFIG_A="open', "garbage"])
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(UsageError, match="frag:2: not a configuration line"):
        kconfig.parse(f"CONFIG_FIRST=y\n{line}\n", "frag")


def test_an_option_set_twice() -> None:
    with pytest.raises(UsageError, match="frag:2: CONFIG_A is set twice"):
        kconfig.parse("CONFIG_A=y\n# CONFIG_A is not set\n", "frag")


def test_a_missing_fragment(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such configuration fragment"):
        kconfig.read(tmp_path / "none.config")


def test_a_later_configuration_wins() -> None:
    merged = kconfig.merge([{"CONFIG_A": "y", "CONFIG_B": "y"}, {"CONFIG_A": "n"}])
    assert merged == {"CONFIG_B": "y", "CONFIG_A": "n"}
    assert list(merged) == ["CONFIG_B", "CONFIG_A"]


def test_requests_granted() -> None:
    wanted = {"CONFIG_A": "y", "CONFIG_OFF": "n", "CONFIG_GONE": "n", "CONFIG_S": '"a,b"'}
    got = {"CONFIG_A": "y", "CONFIG_OFF": "n", "CONFIG_S": '"a,b"', "CONFIG_MORE": "y"}
    assert kconfig.missing(wanted, got) == ()
    kconfig.require(wanted, got, "it")


def test_requests_refused_are_all_named() -> None:
    wanted = {"CONFIG_A": "y", "CONFIG_M": "y", "CONFIG_OFF": "n", "CONFIG_S": '"a,b"'}
    got = {"CONFIG_M": "m", "CONFIG_OFF": "y", "CONFIG_S": '"a"'}
    with pytest.raises(BuildError) as caught:
        kconfig.require(wanted, got, "the configuration")
    assert str(caught.value) == (
        "the configuration does not hold what was asked for: CONFIG_A=y (is not set), "
        'CONFIG_M=y (is m), CONFIG_OFF=n (is y), CONFIG_S="a,b" (is "a").'
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
def test_the_projects_own_fragments(variant: Variant) -> None:
    wanted = build.requested(variant)
    assert wanted["CONFIG_LSM"] == '"landlock,yama,bpf"'
    assert wanted.get("CONFIG_BPF_LSM", "n") == ("n" if variant.name == "none" else "y")
    for option in ("JUMP_LABEL", "HAVE_STATIC_CALL_INLINE", "PREEMPT_DYNAMIC", "CPU_MITIGATIONS"):
        assert wanted[f"CONFIG_{option}"] == "y"
