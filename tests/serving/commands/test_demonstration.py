from serving.commands.demonstration import allow_one_person
from serving.config import ServingConfig
from serving.config_file import CONFIG_FILE, read_section


class TestOnePerson:
    """tests/test_command_line.py runs the whole demonstration."""

    def test_a_demonstration_takes_one_person_for_two(self, tmp_path):
        assert not ServingConfig().access.single_person
        assert allow_one_person(tmp_path)
        assert read_section(tmp_path / CONFIG_FILE, "serving", ServingConfig).access.single_person

    def test_settings_that_are_there_stay(self, tmp_path):
        (tmp_path / CONFIG_FILE).write_text("[serving]\nport = 9000\n", encoding="utf-8")
        assert not allow_one_person(tmp_path)
        assert (tmp_path / CONFIG_FILE).read_text(encoding="utf-8") == "[serving]\nport = 9000\n"
