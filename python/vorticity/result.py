"""What a measure found."""

import json
from collections.abc import Mapping


class Result(Mapping):
    """Columns and arrays of a run by name, NumPy arrays: everything that its NPZ holds."""

    def __init__(self, run):
        self._run, self._arrays = run, run.arrays()

    def __getitem__(self, name):
        return self._arrays[name]

    def __iter__(self):
        return iter(self._arrays)

    def __len__(self):
        return len(self._arrays)

    @property
    def measure(self):
        """Name of the measure."""
        return self._run.measure

    @property
    def manifest(self):
        """`manifest.json`, a dictionary."""
        return json.loads(self._run.manifest)

    @property
    def log(self):
        """`run_log.json`, a dictionary."""
        return json.loads(self._run.log)

    @property
    def out(self):
        """The run directory, if there is one."""
        return self._run.out

    def text(self):
        """What a run ends with on a terminal."""
        return self._run.text()

    def save(self, directory):
        """Writes the run directory."""
        self._run.save(directory)
