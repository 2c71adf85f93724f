"""Runs scim2-tester against the SCIM URL given; the token is in SCIM_TOKEN.

Prints every check. Exit code 1 if one is an error or critical: those are violations of a MUST. Deviations from a
SHOULD are printed, not counted.
"""

import os
import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

VIOLATIONS = (Status.ERROR, Status.CRITICAL)


def main() -> int:
    url = sys.argv[1]
    headers = {"Authorization": f"Bearer {os.environ['SCIM_TOKEN']}"}
    with Client(base_url=url, headers=headers, timeout=60) as http:
        results = check_server(SyncSCIMClient(http))
    counts: dict[str, int] = {}
    for result in results:
        counts[result.status.name] = counts.get(result.status.name, 0) + 1
        where = f" [{result.resource_type}]" if result.resource_type else ""
        print(f"  {result.status.name:<10} {result.title}{where}")
        if result.status is not Status.SUCCESS and result.reason:
            print(f"             {result.reason}")
        if result.status in VIOLATIONS and result.data is not None:
            print(f"             {str(result.data)[:600]}")
    violations = sum(result.status in VIOLATIONS for result in results)
    summary = ", ".join(f"{count} {name.lower()}" for name, count in sorted(counts.items()))
    print(f"scim2-tester: {len(results)} checks: {summary}")
    # A server that describes itself badly gets few checks: that would be a pass for the wrong reason.
    if len(results) < 50:
        print("scim2-tester ran too few checks to mean anything")
        return 1
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
