"""Constants of the models that repeat one of the pipeline's."""

from pipeline.audio import recording
from webapp import models


def test_the_sample_rate_is_the_pipelines():
    """The models keep a copy, because importing the pipeline's loads NumPy."""
    assert models.SAMPLE_RATE == recording.SAMPLE_RATE
