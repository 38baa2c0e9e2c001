"""How the parts become processes: a file for each role, with what it opens, starts and waits for.

Each role's ``run`` says that it serves, and returns when the process is asked to end. Imports of heavy parts stand
inside the functions: a role pays for what it uses.
"""
