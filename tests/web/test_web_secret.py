"""The secret that buttons are signed with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sm.web.secret import CallbackSecretError, callback_secret


def file_of(folder: Path) -> Path:
    return folder / "journal.db.callback-secret"


def test_the_setting_comes_before_the_file(tmp_path: Path) -> None:
    assert callback_secret("0123456789abcdef", tmp_path / "journal.db") == b"0123456789abcdef"
    assert not file_of(tmp_path).exists()


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    made = callback_secret(None, tmp_path / "journal.db")
    assert len(made) == 32
    assert callback_secret(None, tmp_path / "journal.db") == made
    assert [path.name for path in tmp_path.iterdir()] == [file_of(tmp_path).name]


def test_the_file_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        callback_secret(None, tmp_path / "journal.db")
    finally:
        os.umask(before)
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_secret_that_another_start_made_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = callback_secret(None, tmp_path / "journal.db")
    monkeypatch.setattr(os.path, "lexists", lambda _path: False)
    assert callback_secret(None, tmp_path / "journal.db") == theirs
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_others_can_read_is_refused_with_the_command(tmp_path: Path) -> None:
    callback_secret(None, tmp_path / "journal.db")
    file_of(tmp_path).chmod(0o640)
    with pytest.raises(CallbackSecretError, match=f"chmod 600 {file_of(tmp_path)}"):
        callback_secret(None, tmp_path / "journal.db")


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31, "ab" * 40])
def test_a_file_with_something_else_in_it_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    file_of(tmp_path).write_text(content)
    file_of(tmp_path).chmod(0o600)
    with pytest.raises(CallbackSecretError) as caught:
        callback_secret(None, tmp_path / "journal.db")
    assert not content or content not in str(caught.value)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("ab" * 32 + "\n")
    (tmp_path / "elsewhere").chmod(0o600)
    file_of(tmp_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CallbackSecretError):
        callback_secret(None, tmp_path / "journal.db")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallbackSecretError, match="SM_CALLBACK_SECRET"):
        callback_secret(None, tmp_path / "none" / "journal.db")
