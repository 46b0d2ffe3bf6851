"""What Benchmarks/run is made of: it measures bgproxy beside other proxies and beside a bare forwarder.

tools      the programs that are needed, and their versions
lab        the processes of one run
peers      each proxy, with its config
figures    what the kernel counts: CPU time, memory
load       wrk, curl and the client of our own
measure    keep-alive, one connection per request, bulk, memory
switches   the time of a switch under load
results    the raw numbers, and what is reckoned from them
report     tables of them
document   docs/benchmarks.md
charts     bar charts as SVG
"""
