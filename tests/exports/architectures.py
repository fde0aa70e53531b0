"""All architectures by name."""

from tests.exports.plain import PLAIN
from tests.exports.speech import SPEECH
from tests.exports.text import TEXT
from tests.exports.vision import VISION

ARCHITECTURES = {**TEXT, **VISION, **SPEECH, **PLAIN}
