"""Downloads a hub id to a local folder: which files, the progress, and what to do if it fails."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stamp.errors import CheckpointError
from stamp.files import why_not_written

#: The files to download from a hub: no `.bin`, no Python.
DOWNLOADED = ("*.json", "*.safetensors", "*.jinja", "merges.txt")
REPORT_EVERY_S = 2.0

Report = Callable[[str], None]


def download(repo_id: str, revision: str | None, report: Report | None) -> Path:
    """The snapshot of a hub id in the local cache.

    report: gets a line with the remaining time every few seconds; None keeps the hub's own progress bar.
    Raises CheckpointError: no such id or revision, gated, no network and not cached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    page = f"https://huggingface.co/{repo_id}"
    bar = None if report is None else progress_reporter(f"Downloading {repo_id}", report)
    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(DOWNLOADED), tqdm_class=bar))
    except GatedRepoError as error:
        raise CheckpointError(f"{repo_id} is gated: accept its terms on {page}, then run `hf auth login`.") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repo_id} has no revision {revision!r}; see {page}/commits.") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is neither a folder nor a hub model {repo_id}. Check the spelling; a private model needs "
            "`hf auth login`."
        ) from error
    except Exception as error:  # the hub's client raises many kinds of errors when a connection breaks
        if reason := why_not_written(error):
            raise CheckpointError(f"{repo_id} cannot be stored in the local cache: {reason}.") from error
        raise CheckpointError(
            f"{repo_id} is not in the local cache and the hub cannot be reached. Connect to the network, or download "
            f"it elsewhere (`hf download {repo_id}`) and give the folder."
        ) from error


def progress_reporter(title: str, report: Report) -> type[Any]:
    """A tqdm class that prints nothing; it sends "TITLE: 1.2 GB of 4.4 GB, 02:10 left" to `report`."""
    from tqdm.auto import tqdm

    class Reporter(tqdm):  # type: ignore[type-arg]  # generic in its stubs, not when it runs
        def __init__(self, *arguments: Any, **options: Any):
            quiet = {"file": io.StringIO(), "mininterval": REPORT_EVERY_S, "disable": False}
            super().__init__(*arguments, **(options | quiet))

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if self.unit == "B" and self.total and 0 < self.n < self.total:
                state = self.format_dict
                rate = state["rate"] or self.n / max(state["elapsed"], 1e-9)
                left = self.format_interval((self.total - self.n) / rate)
                done, total = (self.format_sizeof(n, "B", 1000) for n in (self.n, self.total))
                report(f"{title}: {done} of {total}, {left} left")

    return Reporter
