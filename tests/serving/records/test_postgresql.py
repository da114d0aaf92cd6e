"""The URL of the database: what the environment keeps is filled in, and a password is never said."""

import pytest

from features.errors import BadConfiguration
from serving.records import RecordsUnavailable
from serving.records.postgresql import url_of
from tests.serving.records.places import Place


class TestUrl:
    def test_the_environment_fills_in_what_is_named(self, monkeypatch):
        monkeypatch.setenv("NP_PASSWORD", "p@ss/w:rd")
        monkeypatch.setenv("NP_HOST", "db.bank")
        url = url_of("postgresql://rm:${NP_PASSWORD}@${NP_HOST}:5433/${NP_PASSWORD}x?sslmode=require")
        assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "rm", "p@ss/w:rd")
        assert (url.host, url.port, url.database) == ("db.bank", 5433, "p@ss/w:rdx")
        assert url.query == {"sslmode": "require"}

    def test_or_is_all_of_it(self, monkeypatch):
        monkeypatch.setenv("NP_URL", "postgresql+psycopg://rm:secret@db/log")
        assert url_of("${NP_URL}").password == "secret"

    @pytest.mark.parametrize("text", ["postgresql://rm:${NP_NOWHERE}@db/log", "${NP_NOWHERE}"])
    def test_what_the_environment_lacks_is_named(self, text):
        with pytest.raises(BadConfiguration, match=r"serving.records.database: the environment has no NP_NOWHERE"):
            url_of(text)

    @pytest.mark.parametrize("text", ["", "records.db", "rm:secret@db"])
    def test_what_is_no_url_is_refused(self, text):
        with pytest.raises(BadConfiguration, match="is not a URL such as") as refused:
            url_of(text)
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        "text", ["sqlite:///x.db", "mysql://rm:secret@db/log", "postgresql+asyncpg://rm:secret@db/log"]
    )
    def test_another_database_is_refused(self, text):
        with pytest.raises(BadConfiguration, match="cannot keep the records") as refused:
            url_of(text)
        assert "secret" not in str(refused.value)


def test_a_password_is_never_said(tmp_path, monkeypatch):
    monkeypatch.setenv("NP_PASSWORD", "s3cret")
    place = Place(tmp_path, "postgresql://rm:${NP_PASSWORD}@127.0.0.1:9/s3cret_log?application_name=s3cret")
    with pytest.raises(RecordsUnavailable, match="cannot be opened") as refused, place.opened(commit_timeout=1):
        pass
    assert "rm:***@127.0.0.1:9" in str(refused.value)
    assert ":s3cret" not in str(refused.value)
