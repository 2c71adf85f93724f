"""Runs scim-sanity in its strict mode against the SCIM URL given; the token is in SCIM_TOKEN.

Prints every check. Exit code 1 if one fails, warns or is left out and REFUTED or ABSENT does not say why, or if one
of those is no longer met with.
"""

import os
import sys

from scim_sanity.probe.runner import run_probe_api

# Where the RFC and the tool differ: the check, what it says, and what the RFC says.
REFUTED = {
    (
        "PATCH /Groups/{id}",
        "Expected HTTP 200, got 204 (RFC 7644 §3.3); Response body is empty",
    ): "RFC 7644 section 3.5.2: a successful PATCH MAY return 204; with `attributes` in the query it is 200",
    (
        "PATCH /Groups/{id} remove members",
        "Expected 200, got 204",
    ): "RFC 7644 section 3.5.2, as above",
    (
        "PATCH /Groups/{id} add member",
        "Expected 200, got 400",
    ): "RFC 7643 section 4.2: a member's `value` is the id of a SCIM resource; the tool adds one that does not exist",
}

# Resource types of draft-abbey-scim-agent-extension-00, which is no RFC.
ABSENT = {"Agent CRUD Lifecycle", "AgenticApplication CRUD Lifecycle", "Agent Rapid Lifecycle"}


def main() -> int:
    answer = run_probe_api(sys.argv[1], token=os.environ["SCIM_TOKEN"], strict=True, timeout=60)
    counts: dict[str, int] = {}
    unexplained = 0
    stale = {*REFUTED, *ABSENT}
    for check in answer["results"]:
        name, status, message = check["name"], check["status"], check.get("message", "")
        why = None
        if status == "skip" and name in ABSENT:
            stale.discard(name)
        elif status == "fail" and (name, message) in REFUTED:
            stale.discard((name, message))
            status, why = "refuted", REFUTED[name, message]
        elif status != "pass":
            unexplained += 1
        counts[status] = counts.get(status, 0) + 1
        print(f"  {status.upper():<10} {name}")
        for line in filter(None, (message, why)):
            print(f"             {line}")
    for entry in stale:
        print(f"  STALE      {entry}: the tool no longer says this; take it out of tests/sanity.py")
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"scim-sanity: {len(answer['results'])} checks: {summary}; {unexplained} unexplained, {len(stale)} stale")
    # A lifecycle that cannot begin is one failure and no checks: that would hide what was not asked.
    if counts.get("pass", 0) < 25:
        print("scim-sanity passed too few checks to mean anything")
        return 1
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
