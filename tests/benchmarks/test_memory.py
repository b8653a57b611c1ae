import json
import subprocess
import sys

import pytest

from benchmarks.memory import ROOT, Usage, measure

SPEND = "import time; kept = bytearray(200 * 2**20); time.sleep(0.5); print('[1]'); print('{\"a\": 2}')"


MEASURE = "import json, sys; from benchmarks.memory import measure; print(json.dumps(vars(measure('-c', sys.argv[1]))))"


def test_peak_time_curve_and_answer_of_a_process():
    # from a small process, since the kernel counts the size of the parent too, which here is that of all tests
    done = subprocess.run([sys.executable, "-c", MEASURE, SPEND], cwd=ROOT, capture_output=True, text=True, check=True)
    usage = Usage(**json.loads(done.stdout))
    assert 200 < usage.peak_mb < 300
    assert 0.5 < usage.seconds < 20
    assert usage.answer == {"a": 2}
    seconds, resident = zip(*usage.curve, strict=True)
    assert list(seconds) == sorted(seconds)
    assert 100 < max(resident) <= usage.peak_mb + 1


def test_process_that_fails_is_told_with_its_last_words():
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3.*so it goes"):
        measure("-c", "import sys; sys.stderr.write('so it goes'); sys.exit(3)")
