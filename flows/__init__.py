"""The job: a folder in, a folder out. The only room that knows files and Prefect."""

__version__ = "0.1.0"
