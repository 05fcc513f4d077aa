"""The check-up finds what is wrong, says what to do, and never breaks itself."""

from __future__ import annotations

from importlib import metadata

import pytest

from hyperprune_lab import doctor


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_every_trouble_has_a_way_out(monkeypatch):
    monkeypatch.setattr(doctor, "linear_gflops", lambda device, dtype: 100.0)
    findings = doctor.examine()
    assert {"python", "device", "bf16 speed", "disk"} <= set(by_name(findings))
    assert all(finding.advice for finding in findings if finding.status != "ok")


@pytest.mark.parametrize(("half", "status"), [(50.0, "warn"), (200.0, "ok")])
def test_slow_bf16_is_told(monkeypatch, half, status):
    monkeypatch.setattr(
        doctor, "linear_gflops", lambda device, dtype: half if "bfloat16" in str(dtype) else 100.0
    )
    (finding,) = doctor.check_bf16()
    assert finding.status == status


def test_speed_is_a_positive_number():
    import torch

    assert doctor.linear_gflops("cpu", torch.float32, width=8, seconds=0.001) > 0


def test_packages_are_judged_by_their_extra(monkeypatch):
    installed = {"hyperprune-lab": "0.1", "torch": "2.9", "pandas": "1.0", "numpy": "2.4"}

    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    requires = [
        "torch>=2.11",
        "numpy>=2",
        'pandas>=2.2; extra == "ui"',
        'datasets>=5; extra == "hub"',
        "typer",
    ]
    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: requires)
    found = by_name(doctor.check_packages())
    assert {name: finding.status for name, finding in found.items()} == {
        "hyperprune-lab": "ok",
        "torch": "fail",
        "numpy": "ok",
        "pandas": "warn",
        "datasets": "warn",
        "typer": "fail",
    }
    assert "extra hub" in found["datasets"].value


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def check_packages():
        raise RuntimeError("broken metadata")
        yield

    monkeypatch.setattr(doctor, "check_packages", check_packages)
    monkeypatch.setattr(doctor, "linear_gflops", lambda device, dtype: 100.0)
    finding = by_name(doctor.examine())["packages"]
    assert (finding.status, finding.value) == ("fail", "RuntimeError: broken metadata")


def test_the_embedded_model_is_told_by_its_digest(monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERPRUNE_LAB_DATA", str(tmp_path))
    folder = tmp_path / "models" / "demo"
    folder.mkdir(parents=True)
    (missing,) = doctor.check_embedded_model()
    assert missing.status == "fail"
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs")
    (stub,) = doctor.check_embedded_model()
    assert (stub.status, "stub" in stub.advice) == ("fail", True)
    (folder / "model.safetensors").write_bytes(bytes(2_000_000))
    (whole,) = doctor.check_embedded_model()
    assert whole.status == "ok"
    assert "2.0 MB, sha256 " in whole.value


@pytest.mark.parametrize(("free_gib", "status"), [(50.0, "ok"), (1.0, "warn"), (0.1, "fail")])
def test_little_room_is_told(monkeypatch, free_gib, status):
    class Usage:
        free = free_gib * 2**30

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage)
    (finding,) = doctor.check_disk()
    assert finding.status == status


def test_a_front_end_without_its_browser_half_fails(monkeypatch, tmp_path):
    pytest.importorskip("jupyterlab")
    monkeypatch.setattr(doctor.sys, "prefix", str(tmp_path))
    found = by_name(doctor.check_front_end())
    assert found["anywidget in JupyterLab"].status == "fail"
    assert "blank" in found["ipywidgets in JupyterLab"].value
