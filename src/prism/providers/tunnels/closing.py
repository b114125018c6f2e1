"""A forwarded connection of asyncssh that ends."""

from asyncssh.forward import SSHForwarder


class ClosingForwarder(SSHForwarder):
    """Carries bytes between a channel and its peer, and closes when both sides have ended.

    asyncssh never closes a channel whose own side is the last to send its end of file.
    """

    def eof_received(self) -> bool:
        """Close the channel if its peer has ended too."""
        if stays := super().eof_received():
            return stays
        self.close()
        return False
