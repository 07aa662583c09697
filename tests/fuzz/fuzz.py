"""Fuzzing for as long as you like: ``python tests/fuzz/fuzz.py TARGET [--seconds N]``, or ``make fuzz``.

The targets are the engines and the WebSocket's frames. With atheris installed libFuzzer guides the mutations by what
they cover; without it a loop of our own does, more slowly. A program that breaks a rule is written to the folder
``--findings``, and ``--run FILE`` runs it again.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from seeds import SEEDS

from tricorn_transports.registry import transports
from tricorn_transports.testing import DatagramKit, H1Peer, H2Peer, H3Peer, StreamKit
from tricorn_transports.testing.programs import run_datagram_engine, run_frames, run_stream_engine

Target = Callable[[bytes], object]
#: Longer programs are slow and find no more.
_LONGEST = 20_000
#: What our own loop measures the coverage of.
_MEASURED = ("tricorn_transports/engines/", "tricorn_transports/websocket/", "tricorn_transports/quic/")


@contextmanager
def target_of(name: str) -> Iterator[Target]:
    """The function that runs a program on a target."""
    if name == "websocket":
        yield run_frames
        return
    transport, _, engine = name.partition("=")
    spec = transports()[transport]
    create = spec.create(engine or None)
    if spec.kind == "tcp":
        stream_kit = StreamKit(name, create, {"h1": H1Peer, "h2": H2Peer}[transport])
        yield lambda program: run_stream_engine(stream_kit, program)
        return
    import trustme

    with tempfile.TemporaryDirectory() as folder:
        cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
        leaf = trustme.CA().issue_cert("test")
        leaf.private_key_pem.write_to_path(key)
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(cert, append=True)
        kit = DatagramKit(name, create, H3Peer, cert, key)
        yield lambda program: run_datagram_engine(kit, program)


def keep(folder: Path, program: bytes) -> Path:
    """Writes a finding."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"finding-{hashlib.sha256(program).hexdigest()[:16]}"
    path.write_bytes(program)
    return path


def fuzz_with_atheris(target: Target, seeds: list[bytes], seconds: float, findings: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    def run(program: bytes) -> None:
        try:
            target(program)
        except BaseException:
            print(f"\n{keep(findings, program)}:", file=sys.stderr)
            raise

    with tempfile.TemporaryDirectory() as corpus:
        for seed in seeds:
            keep(Path(corpus), seed)
        options = [f"-max_total_time={int(seconds)}", f"-max_len={_LONGEST}", "-timeout=60", "-rss_limit_mb=4096"]
        options.append(f"-artifact_prefix={findings}/")
        findings.mkdir(parents=True, exist_ok=True)
        atheris.Setup([sys.argv[0], *options, corpus], run)
        atheris.Fuzz()


def fuzz_by_ourselves(target: Target, seeds: list[bytes], seconds: float, findings: Path, seed: int) -> int:
    """Keeps what covers a line that nothing before it covered. The number of findings."""
    dice = random.Random(seed)
    covered: set[tuple[str, int]] = set()
    corpus: list[bytes] = []
    failures: set[str] = set()
    queue = list(seeds)
    runs, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        program = queue.pop() if queue else mutate(dice, corpus or seeds)
        lines: set[tuple[str, int]] = set()
        sys.settrace(_tracer(lines))
        try:
            target(program)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            sys.settrace(None)
            where = traceback.format_exc()
            if where not in failures:
                failures.add(where)
                print(f"{keep(findings, program)}:\n{where}", file=sys.stderr)
        finally:
            sys.settrace(None)
        runs += 1
        if not lines <= covered:
            covered |= lines
            corpus.append(program)
    print(f"{runs} runs, {len(covered)} lines, {len(corpus)} programs kept, {len(failures)} findings", file=sys.stderr)
    return len(failures)


def _tracer(lines: set[tuple[str, int]]) -> Any:
    def on_line(frame: FrameType, event: str, argument: object) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return on_line if any(part in frame.f_code.co_filename for part in _MEASURED) else None

    return on_call


def mutate(dice: random.Random, corpus: list[bytes]) -> bytes:
    """One program out of one or two others."""
    data = bytearray(dice.choice(corpus))
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(7):
            case 0:
                data[at : at + 1] = dice.randbytes(1)
            case 1:
                data[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 2:
                del data[at : at + dice.randrange(1, 30)]
            case 3:
                other = dice.choice(corpus)
                begin = dice.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + dice.randrange(1, 200)]
            case 4:
                data += dice.choice(corpus)
            case 5 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case _:
                data[at:at] = bytes([2, dice.randrange(16), dice.randrange(4), dice.randrange(256)])
    return bytes(data[:_LONGEST])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(SEEDS))
    parser.add_argument("--engine", help="another engine than the default one")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of our own loop's dice")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--run", type=Path, help="run this program and nothing else")
    parser.add_argument("--without-atheris", action="store_true")
    options = parser.parse_args()
    name = options.target if options.engine is None else f"{options.target}={options.engine}"
    if not options.without_atheris and options.run is None:
        try:
            import atheris
        except ImportError:
            print("atheris is not installed: our own loop, which is slower", file=sys.stderr)
        else:
            with target_of(name) as target:
                atheris.instrument_all()
                fuzz_with_atheris(target, list(SEEDS[options.target]()), options.seconds, options.findings)
    with target_of(name) as target:
        if options.run is not None:
            target(options.run.read_bytes())
            return 0
        seeds = list(SEEDS[options.target]())
        return 1 if fuzz_by_ourselves(target, seeds, options.seconds, options.findings, options.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
