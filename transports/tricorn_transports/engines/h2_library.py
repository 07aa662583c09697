"""The h2 library, made to give one frame a turn, and without what costs and brings us nothing.

Rules of this module:
- h2 is imported here only; what others need of it they take from here. Its inbound validation is always on. Its
  outbound checks are off: the exchange has made them, and twice costs 6 of 70 µs a request.
- h2 holds that a GOAWAY, in or out, is the end. RFC 9113 section 6.8 lets running streams finish, so GOAWAY frames
  pass by h2 in both directions.
- h2 ends its connection over every error. Where only a stream erred it is taken back (``broken_frame``).
"""

from __future__ import annotations

from typing import Any

from h2 import events as h2_events
from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionInputs, ConnectionState, H2Connection
from h2.exceptions import DenialOfServiceError, InvalidBodyLengthError
from h2.exceptions import ProtocolError as H2ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes, Settings
from hyperframe.frame import SettingsFrame

from tricorn_transports.config import Limits
from tricorn_transports.engines import h2_wire as wire
from tricorn_transports.engines.h2_hpack import HPACKError, MemoDecoder, MemoEncoder

# The library's names, for those who may not import it themselves.
__all__ = ["DenialOfServiceError", "H2Library", "H2ProtocolError", "h2_events"]


class _Frames(FrameBuffer):
    """h2's frame parser, made to give one frame a turn and to keep GOAWAY frames for us."""

    def __init__(self) -> None:
        super().__init__(server=True)
        self.current: Any = None  # h2 has no type for it: a frame of hyperframe's
        self.goaways: list[Any] = []
        self.left = -len(wire.PREFACE)  # bytes not parsed yet; never fewer than there are

    def add_data(self, data: Any) -> None:  # h2's own alias for a buffer is private
        self.left += len(data)
        super().add_data(data)

    def __next__(self) -> Any:
        if self.current is not None:
            raise StopIteration
        frame: Any = super().__next__()
        while frame.type == wire.GOAWAY:
            self.left -= wire.FRAME_HEADER + frame.body_len
            self.goaways.append(frame)
            frame = super().__next__()
        self.left -= wire.FRAME_HEADER + frame.body_len
        self.current = frame
        return frame


class H2Library(H2Connection):
    """h2's connection with our settings, the server's side."""

    # 65,536 of them would be held otherwise: megabytes for a connection that lives long.
    MAX_CLOSED_STREAMS = 1024
    incoming_buffer: _Frames

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                normalize_inbound_headers=False,  # that is the cookie crumbs, which head.py joins
            )
        )
        self.incoming_buffer = _Frames()
        self._sweep = 0
        values: dict[Any, int] = {  # h2 takes settings that it has no name for, but its types do not
            SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_head_bytes,
            SettingCodes.INITIAL_WINDOW_SIZE: max(limits.stream_receive_buffer, wire.INITIAL_WINDOW),
            wire.NO_RFC7540_PRIORITIES: 1,
        }
        self.local_settings = Settings(client=False, initial_values=values)
        # A head that is only somewhat too large gets an answer; one that goes past this ends the connection.
        self.decoder = MemoDecoder(4 * limits.max_head_bytes)
        self.encoder = MemoEncoder()
        self.initiate_connection()
        if limits.stream_receive_buffer < wire.INITIAL_WINDOW:
            # A client may use the protocol's own first window until it has seen and acknowledged a smaller one.
            self.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_receive_buffer})
        if limits.connection_receive_buffer > wire.INITIAL_WINDOW:
            self.increment_flow_control_window(limits.connection_receive_buffer - wire.INITIAL_WINDOW)

    def adopt(self, settings: bytes) -> None:
        """Stream 1 is a request that came, whole, over HTTP/1.1 (RFC 7540 section 3.2).

        h2's own ``initiate_upgrade_connection`` does the same, and sends our SETTINGS a second time.

        Raises:
            H2ProtocolError: The client's settings are invalid.
        """
        frame = SettingsFrame(0)
        frame.parse_body(memoryview(settings))
        self._receive_settings_frame(frame)  # whose ACK is dropped: the 101 stands for it
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        self._begin_new_stream(1, AllowedStreamIDs.ODD)
        self.streams[1].upgrade(client_side=False)

    @property
    def unsent(self) -> int:
        """Bytes of frames that nobody has asked for yet."""
        return len(self._data_to_send)

    @property
    def open_inbound_streams(self) -> int:
        """Nought: the engine counts, and refuses one stream where h2 would end the connection.

        h2 asks for every new stream and walks over all of them; its walk also drops what is closed, so that now and
        then it must be let.
        """
        self._sweep += 1
        if self._sweep % 64 == 0:
            super().open_inbound_streams  # noqa: B018 - for what it drops
        return 0

    # ------------------------------------------------------------------------------------------------------ errors

    def take_back_goaway(self) -> bytes:
        """What is written and not taken yet, without the GOAWAY that h2 has put behind it."""
        written = self.data_to_send()
        if written[-wire.GOAWAY_LENGTH :].startswith(wire.GOAWAY_HEADER):  # it writes none for a wrong preface
            written = written[: -wire.GOAWAY_LENGTH]
        return written

    def broken_frame(self, error: H2ProtocolError) -> Any:
        """The DATA or HEADERS frame that is its stream's fault and no more; ``None`` where the connection is broken.

        With a frame as the answer the connection goes on.
        """
        frame = self.incoming_buffer.current
        # A malformed head or body (RFC 9113 section 8.1.1) comes as one of these, and with no cause; what the state
        # machines or HPACK refuse has one.
        is_malformed = type(error) in (H2ProtocolError, InvalidBodyLengthError) and error.__cause__ is None
        if not is_malformed or frame is None or frame.type not in (wire.DATA, wire.HEADERS):
            return None
        stream = self.streams.get(frame.stream_id)
        if stream is None or not stream.open:
            return None
        self.state_machine.state = ConnectionState.SERVER_OPEN
        return frame

    @staticmethod
    def code_of(error: H2ProtocolError) -> int:
        """The error code of a connection that ends over ``error``."""
        if isinstance(error.__cause__, HPACKError) and not isinstance(error, DenialOfServiceError):
            return wire.COMPRESSION_ERROR
        return int(error.error_code)
