"""Runs a health check of Argo CD as Argo CD does: Lua 5.1, without the libraries that it does not open.

Reads {"script": "...", "objects": [...]} and prints the health of each object as a line of JSON.
"""

import json
import sys

from lupa import lua51


def to_lua(lua, value):
    if isinstance(value, dict):
        return lua.table_from({key: to_lua(lua, inner) for key, inner in value.items()})
    if isinstance(value, list):
        return lua.table_from([to_lua(lua, inner) for inner in value])
    return value


asked = json.load(sys.stdin)
for one in asked["objects"]:
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    globals_ = lua.globals()
    for library in ["math", "string", "io", "debug", "coroutine", "python"]:
        globals_[library] = None
    globals_.obj = to_lua(lua, one)
    print(json.dumps(dict(lua.execute(asked["script"]))))
