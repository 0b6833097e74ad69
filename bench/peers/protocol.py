"""Answers calls that come in as JSON lines, and says how long each took."""

import json
import sys
import time


def serve(functions, versions):
    """Answer until the input ends. A function may time itself: it then
    returns a dict that holds "seconds"."""
    print(json.dumps({"ready": versions}), flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        start = time.perf_counter()
        try:
            result = functions[call["name"]](**call["arguments"])
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
            continue
        seconds = time.perf_counter() - start
        if isinstance(result, dict) and "seconds" in result:
            seconds = result.pop("seconds")
        print(json.dumps({"seconds": seconds, "result": result}), flush=True)
