"""Sends a picture to the web API and saves the answer: python -m apps.send_image picture.jpg overlay.png."""

import argparse
import http.client
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from config import ConfigError
from config.run import ALL_GOOD, SOME_FAILED, print_result, script

SECONDS = 300.0  # after which an answer is no longer waited for


@script
def main(argv: Sequence[str]) -> int:
    """Send one picture and write what comes back; returns the exit code."""
    args = parse_args(argv)
    address = urlsplit(args.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError([f"--url is {args.url!r}; it must be such as http://127.0.0.1:8000"])
    if not args.picture.is_file():
        raise ConfigError([f"{str(args.picture)!r} is no file"])
    query = urlencode({"form": args.form, **({"threshold": args.threshold} if args.threshold else {})})
    connect = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = connect(address.hostname, address.port, timeout=SECONDS)
    status, content = send(connection, f"{address.path.rstrip('/')}/api/process_image?{query}", args.picture)
    if status != http.client.OK:
        sys.stderr.write(f"error: {args.picture.name}: {status} {content.decode(errors='replace')[:500]}\n")
        return SOME_FAILED
    write(args.answer, content)
    print_result(f"{args.answer}: {len(content)} bytes")
    return ALL_GOOD


def send(connection: http.client.HTTPConnection, path: str, picture: Path) -> tuple[int, bytes]:
    """Post a file as the form field `image`; raises OSError where nobody answers."""
    boundary = uuid.uuid4().hex
    head = 'Content-Disposition: form-data; name="image"; filename="picture"\r\nContent-Type: application/octet-stream'
    body = f"--{boundary}\r\n{head}\r\n\r\n".encode() + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    try:
        connection.request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        place = f"{connection.host}:{connection.port}"
        raise OSError(getattr(error, "errno", None) or 0, str(error) or type(error).__name__, place) from error
    finally:
        connection.close()


def write(path: Path, content: bytes) -> None:
    """Write the answer in one step."""
    from utils.atomic import atomic_path

    with atomic_path(path) as draft:
        draft.write_bytes(content)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Send a picture to the web API and save the answer.")
    parser.add_argument("picture", type=Path, help="picture: jpg, png, bmp, tif or DICOM")
    parser.add_argument("answer", type=Path, help="where to write what comes back: a PNG, or JSON")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where serve_net.py listens")
    parser.add_argument("--form", choices=["overlay", "mask", "json"], default="overlay", help="what to ask for")
    parser.add_argument("--threshold", type=float, default=0.0, help="in place of the tuned one")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
