"""Tables of settings: their base, `KEY=VALUE` on the command line, and mistakes in words."""

from fedseg.settings.keys import with_settings as with_settings
from fedseg.settings.mistakes import explain as explain
from fedseg.settings.section import LONGEST_TEXT as LONGEST_TEXT
from fedseg.settings.section import Section as Section
from fedseg.settings.section import differing_settings as differing_settings
from fedseg.settings.section import refuse_twice as refuse_twice
