"""What is said in offhook: states, events, effects, messages and documents.

Pure: nothing here owns a loop, a socket, a clock, a log or a source of chance. Time (seconds) and identity are
arguments. The only dependency is msgspec.
"""
