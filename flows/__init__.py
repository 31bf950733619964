"""The job: a folder in, a folder out. The only package that knows of files and Prefect."""

__version__ = "0.1.0"
