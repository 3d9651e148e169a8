"""`python -m webapp`: the web server alone, with the options that every way of serving the site shares.

It takes uvicorn's own options, such as --host and --port.
"""

import sys

import uvicorn

HEADER_BYTES = 65_536  # of one request
OPTIONS = (
    # h11 refuses headers over a limit. httptools, which uvicorn prefers where it finds it, keeps them all in memory.
    *("--http", "h11", "--h11-max-incomplete-event-size", str(HEADER_BYTES)),
    "--no-proxy-headers",  # uvicorn believes anybody on this machine; `http.proxies` believes whom a setting names
    *("--ws", "none", "--lifespan", "off"),
    # Event streams never end by themselves: without a limit the server would wait for them when it stops.
    *("--timeout-graceful-shutdown", "3"),
)

if __name__ == "__main__":
    uvicorn.main(["webapp.asgi:application", *OPTIONS, *sys.argv[1:]])
