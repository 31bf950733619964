"""Imported once by the process that others are forked from: the command line, and the bundled models, loaded."""

from flows.job import Job
from flows.steps.loading import quiet_libraries
from masks import load_segmenter
from removal import load_remover


def load(job: Job) -> None:
    """As a run of the job will, which finds them loaded then."""
    load_remover(job.model, **job.remover_options)
    load_segmenter("bundled", job.device, job.threshold, job.offline)


quiet_libraries()
WITH_MODELS = Job(model="bundled", steps=2, batch_size=1)
load(WITH_MODELS)
