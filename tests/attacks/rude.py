"""A service in a workspace that answers with the bytes that the path of a request has in hex.

python rude.py PORT
"""

import contextlib
import socket
import sys
import threading

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
# A reader that takes this for chunks sees an end and an answer to the next request.
FRAMED = b"0\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: prism=1\r\n\r\n".ljust(3 << 20)
LENGTHLESS = b"HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: %d\r\n\r\n"


def serve(client: socket.socket) -> None:
    """One request, one answer."""
    with client:
        heard = b""
        while b"\r\n\r\n" not in heard:
            piece = client.recv(65536)
            if not piece:
                return
            heard += piece
        word = heard.split(b" ")[1].partition(b"?")[0].rpartition(b"/")[2]
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(heard), heard)
        answers = {b"heard": whole, b"hinted": HINT * 3 + whole, b"flood": HINT * 20_000 + whole}
        answers[b"lengthless"] = LENGTHLESS % len(FRAMED) + FRAMED
        with contextlib.suppress(ConnectionError):  # a flooded client closes the connection
            client.sendall(answers[word] if word in answers else bytes.fromhex(word.decode()))


def main() -> None:
    """Serve until the process is ended."""
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        client, _ = server.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
