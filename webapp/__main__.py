"""`python -m webapp`: the web server alone, with the options that every way of serving the site shares.

Further options, such as --host and --port, are those of uvicorn.
"""

import sys

import uvicorn

HEADER_BYTES = 65_536  # maximum size of the headers of a request
OPTIONS = (
    # h11 limits the size of headers. httptools, which uvicorn prefers if it is installed, keeps all of them in memory.
    *("--http", "h11", "--h11-max-incomplete-event-size", str(HEADER_BYTES)),
    "--no-proxy-headers",  # uvicorn would trust this whole machine; `http.proxies` is stricter
    *("--ws", "none", "--lifespan", "off"),
    # Event streams never end by themselves: without a limit the server would wait for them when it stops.
    *("--timeout-graceful-shutdown", "3"),
)

if __name__ == "__main__":
    uvicorn.main(["webapp.asgi:application", *OPTIONS, *sys.argv[1:]])
