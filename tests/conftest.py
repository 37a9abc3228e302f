"""What all tests stand on."""

import signal

# A shell that starts a command in the background has it ignore Ctrl-C, and what it starts in turn: the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
