"""A real SSH server on the loopback interface: serves the files of this machine by SFTP, in a process of its own.

`python tests/support/sftp_server.py PASSWORD` prints its port.
 It knows one user, `sharer`, by PASSWORD. With a second argument it
takes no more than so many bytes and then lets an upload wait, so that it can be killed half-way.
"""

import asyncio
import sys

import asyncssh

USER = "sharer"


class Server(asyncssh.SSHServer):
    """Lets one user in, by password."""

    password = ""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, self.password)


class Files(asyncssh.SFTPServer):
    """All files that the process may read and write."""

    most_bytes = float("inf")

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write, or wait for ever."""
        Files.most_bytes -= len(data)
        if Files.most_bytes < 0:
            await asyncio.Event().wait()
        return super().write(file_obj, offset, data)


async def main(password: str, most_bytes: str = "inf") -> None:
    """Serve until the process is ended."""
    Server.password, Files.most_bytes = password, float(most_bytes)
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Server, sftp_factory=Files)
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
