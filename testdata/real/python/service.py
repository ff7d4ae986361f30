"""Answers with a greeting, on a port of its own choice."""
import http.server
import os

from lbuild_greeting import greet


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{greet(self.path.strip('/'))} from {os.getuid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}")
server.serve_forever()
