"""RTCP: what is written is read, by us and by another library; what does not fit together is refused."""

from struct import pack

import pytest
from aiortc.rtp import RtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.rtcp import Block, Report, Sender, middle, ntp_time, read_reports, write_reports

WORD = st.integers(0, 2**32 - 1)
LOST = st.integers(-(2**23), 2**23 - 1)
BLOCKS = st.lists(st.builds(Block, WORD, st.integers(0, 255), LOST, WORD, WORD, WORD, WORD), max_size=31)
SENDERS = st.builds(Sender, st.integers(0, 2**64 - 1), WORD, WORD, WORD)


@given(WORD, SENDERS, BLOCKS, st.text("offhook\xe9", min_size=0, max_size=40))
def test_what_is_written_is_read_here_and_elsewhere(
    source: int, sender: Sender, blocks: list[Block], name: str
) -> None:
    data = write_reports(source, sender, blocks, name)
    assert read_reports(data) == [Report(source, sender, tuple(blocks))]
    report, names = RtcpPacket.parse(data)
    assert isinstance(report, RtcpSrPacket) and isinstance(names, RtcpSdesPacket)
    assert report.ssrc == source
    told = report.sender_info
    assert Sender(told.ntp_timestamp, told.rtp_timestamp, told.packet_count, told.octet_count) == sender
    assert [_block(info) for info in report.reports] == blocks
    assert [(chunk.ssrc, chunk.items) for chunk in names.chunks] == [(source, [(1, name.encode())])]


@given(WORD, SENDERS, BLOCKS, BLOCKS)
def test_what_another_library_writes_is_read(
    source: int, sender: Sender, first: list[Block], second: list[Block]
) -> None:
    info = RtcpSenderInfo(sender.ntp, sender.timestamp, sender.packets, sender.octets)
    data = bytes(RtcpSrPacket(source, info, [_info(block) for block in first]))
    data += bytes(RtcpRrPacket(source ^ 1, [_info(block) for block in second]))
    assert read_reports(data) == [Report(source, sender, tuple(first)), Report(source ^ 1, None, tuple(second))]


def test_counts_that_do_not_fit_their_fields_are_cut() -> None:
    sender = Sender(2**64 - 1, 7, 2**32 + 5, 2**33)
    block = Block(1, 999, -(2**30), 2**40 + 3, 2**40, 5, 2**40)
    (report,) = read_reports(write_reports(1, sender, [block], "x")) or []
    assert report.sender == Sender(2**64 - 1, 7, 5, 0)
    assert report.blocks == (Block(1, 255, -(2**23), 3, 2**32 - 1, 5, 2**32 - 1),)


REPORT = write_reports(1, Sender(2, 3, 4, 5), [Block(6, 7, 8, 9, 10, 11, 12)], "offhook")
ALONE = REPORT[: 4 * 13]
UNKNOWN = pack("!BBHI", 0x81, 207, 1, 9)
PADDED = bytes([ALONE[0] | 0x20]) + ALONE[1:3] + bytes([ALONE[3] + 1]) + ALONE[4:] + b"\0\0\0\4"


@pytest.mark.parametrize("data", [ALONE, ALONE + UNKNOWN, UNKNOWN + ALONE, PADDED, UNKNOWN + PADDED])
def test_what_stands_beside_a_report_is_stepped_over(data: bytes) -> None:
    assert read_reports(data) == read_reports(ALONE) != []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\xc8\0",
        b"\x40" + ALONE[1:],
        ALONE[:-1],
        ALONE + b"\x80\xc9\0",
        # Blocks that are not there; a sender report without its sender.
        bytes([0x82]) + ALONE[1:],
        pack("!BBHI", 0x80, 200, 1, 9),
        # Padding of nothing, longer than the packet, and in the middle.
        bytes([ALONE[0] | 0x20]) + ALONE[1:-1] + b"\0",
        bytes([ALONE[0] | 0x20]) + ALONE[1:-1] + b"\xff",
        PADDED + UNKNOWN,
    ],
)
def test_lengths_that_lie_are_refused(data: bytes) -> None:
    assert read_reports(data) is None


@given(st.binary(max_size=200) | st.tuples(st.sampled_from([200, 201, 202, 205]), st.binary(max_size=120)).map(
    lambda found: bytes([0x81, found[0]]) + pack("!H", len(found[1]) // 4) + found[1]
))  # fmt: skip
def test_any_bytes_give_reports_or_none(data: bytes) -> None:
    for report in read_reports(data) or []:
        assert all(-(2**23) <= block.lost < 2**23 and block.fraction < 256 for block in report.blocks)


def test_ntp_counts_from_1900() -> None:
    # 1 January 1970, and a quarter of a second.
    assert ntp_time(0.25) == 0x83AA7E80_40000000
    assert middle(0x83AA7E80_40000000) == 0x7E804000


def _block(info: RtcpReceiverInfo) -> Block:
    return Block(
        info.ssrc, info.fraction_lost, info.packets_lost, info.highest_sequence, info.jitter, info.lsr, info.dlsr
    )


def _info(block: Block) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=block.source,
        fraction_lost=block.fraction,
        packets_lost=block.lost,
        highest_sequence=block.highest,
        jitter=block.jitter,
        lsr=block.last_report,
        dlsr=block.delay,
    )
