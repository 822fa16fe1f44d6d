"""A web server on this machine, for one test: what neighbours' servers do, at a port that is free."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder: whole files only, as Python's own server, or parts of them; with a token or without."""

    def __init__(self, *arguments, parts: bool, token: str, **options):
        self.parts, self.token = parts, token
        super().__init__(*arguments, **options)

    def do_GET(self):
        self.serve()

    def do_HEAD(self):
        self.serve(head=True)

    def serve(self, head: bool = False):
        address = urlsplit(self.path)
        if self.token and self.token not in unquote(address.query):
            self.send_error(403)
            return
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range")
        if not (self.parts and asked and path.is_file()):
            (super().do_HEAD if head else super().do_GET)()
            return
        content = path.read_bytes()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last) + 1 if last else len(content), len(content))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if not head:
            self.wfile.write(content[begin:end])

    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path, *, parts: bool = False, token: str = "") -> Iterator[str]:
    """The address of a folder, as long as the context lasts."""
    handler = partial(Handler, directory=str(folder), parts=parts, token=token)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
