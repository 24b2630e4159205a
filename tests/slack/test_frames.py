"""What the bot writes to its web socket, read back by the rules of RFC 6455."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from bot.slack.socket import text_frame


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 4_400, 65_535, 65_536, 200_000])
def test_a_frame_reads_back_as_what_was_written(size: int) -> None:
    text = ("ä🔥x" * size).encode()[:size]
    reader = StreamReader()
    reader.feed_data(text_frame(text))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    frame = parsed.value.value
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, text)


def test_frames_are_masked_anew_each_time() -> None:
    assert text_frame(b"the same") != text_frame(b"the same")
