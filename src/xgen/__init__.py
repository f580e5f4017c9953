"""xgen: the system of the XGen-7B technical report as software."""

__version__ = "0.1.0"
