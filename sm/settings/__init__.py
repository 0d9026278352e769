"""The settings: every SM_* variable, its default, and one message about all that is wrong with them."""

from sm.settings.load import Settings, SettingsError, load, load_some
from sm.settings.syntax import HostPort
from sm.settings.variables import VARIABLES, Variable

__all__ = ["VARIABLES", "HostPort", "Settings", "SettingsError", "Variable", "load", "load_some"]
