"""The limits of one address, and of all visitors together."""

import argparse
import os
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

#: Said whenever a limit is reached, whichever it is.
BUSY = "Many questions have come in at once. Nothing you typed is lost: please try again in a minute."
#: Values of a variable of the environment that say no.
OFF = ("off", "0", "false", "no")


@dataclass(frozen=True)
class Limits:
    """None is no limit. questions, events, pictures, streams: of one address at a time; a question needs a model, an
    event is everything else that a page asks for, a picture is an event that reads one, a stream is a request that the
    client can hold open. has_rates: one address may ask for each route so often per minute only
    (`demo.security.gate`). waiting: questions of all visitors at a time.

    pause_s: between two live runs of one address. visit_bytes: memory of all pictures and dialogues. disk_bytes: of
    all uploads and downloads.
    """

    questions: int | None = 4
    events: int | None = 40
    pictures: int | None = 4
    streams: int | None = 100
    has_rates: bool = True
    waiting: int = 64
    pause_s: float = 20.0
    visit_bytes: int = 500_000_000
    disk_bytes: int = 2_000_000_000

    def __post_init__(self) -> None:
        for name in ("questions", "events", "pictures", "streams", "waiting", "visit_bytes", "disk_bytes"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Add --per-address and --trusted; STAMP_PER_ADDRESS and STAMP_TRUSTED give their defaults."""
    parser.add_argument(
        "--per-address",
        type=_count,
        metavar="N",
        default=os.environ.get("STAMP_PER_ADDRESS") or Limits.questions,
        help="questions that one address may have open at a time (default: 4); visitors behind one router share it",
    )
    parser.add_argument(
        "--trusted",
        action="store_true",
        default=os.environ.get("STAMP_TRUSTED", "").strip().lower() not in ("", *OFF),
        help="no limits per address: for a page that only people you trust can reach",
    )


def read_limits(given: argparse.Namespace) -> Limits:
    """The limits that the options ask for."""
    if given.trusted:
        return Limits(questions=None, events=None, pictures=None, streams=None, has_rates=False, pause_s=0.0)
    return Limits(questions=given.per_address)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"an address needs at least 1 question, got {text!r}")
    return int(text)


def address_of(client: tuple[str, int] | None) -> str:
    """Who is asking: an IPv4 address, or the /64 network of an IPv6 address, which belongs to one subscriber."""
    host = client[0] if client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)
