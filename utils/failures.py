"""Cases that went wrong: one line each in the log and in failures.csv, while the others go on."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from utils.messages import one_line
from utils.tables import write_table

log = logging.getLogger(__name__)

# the machine's trouble, not the case's: readers turn what is wrong with an input into errors of their own
ENVIRONMENT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class Failure:
    """One case that could not be used: its id, the file at fault and what is wrong with it."""

    id: str
    file: str
    message: str


class Failures:
    """Collects the failures of a run; `write` leaves failures.csv, empty but for its header if all went well.

    A run ends at the next case once `begun`, the file that it wrote first, was removed, and others with it.
    """

    def __init__(self, known: list[Failure] | None = None, begun: Path | None = None):
        self.rows: list[Failure] = []
        self._begun = begun
        self._identity = _identity(begun)
        for failure in known or []:
            self.add(failure)

    def add(self, failure: Failure) -> None:
        """Note a failure and log it."""
        failure = Failure(*map(one_line, astuple(failure)))
        self.rows.append(failure)
        where = "" if failure.file in failure.message else f"{failure.file} "
        log.error("%s: %s%s", failure.id, where, failure.message)

    @property
    def ids(self) -> set[str]:
        """Ids of the cases that failed."""
        return {failure.id for failure in self.rows}

    @contextmanager
    def guard(self, case_id: str, file: str) -> Iterator[None]:
        """Turn any error of one case into a failure; a full disk or a forbidden or removed folder ends the run."""
        try:
            yield
        except Exception as error:
            self._require_begun()
            if isinstance(error, OSError) and error.errno in ENVIRONMENT:
                raise
            log.debug("%s", case_id, exc_info=True)
            self.add(Failure(case_id, file, str(error) or type(error).__name__))
        self._require_begun()

    def _require_begun(self) -> None:
        if self._begun and _identity(self._begun) != self._identity:
            message = "the folder was removed while this run wrote into it; run it again"
            raise FileNotFoundError(errno.ENOENT, message, str(self._begun.parent))

    def write(self, path: Path) -> None:
        """Write the table of failures (id, file, message)."""
        write_table(path, [asdict(failure) for failure in self.rows], ["id", "file", "message"])


def _identity(path: Path | None) -> tuple[int, int] | None:
    """What a file of the same name that was made later has not."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None
