"""Validates objects strictly by the schemas of Kubernetes releases.

Reads {"versions": [...], "objects": [...]} and prints one line for each complaint.
"""

import json
import sys

import kubernetes_validate

asked = json.load(sys.stdin)
for version in asked["versions"]:
    for one in asked["objects"]:
        name = f"{version} {one.get('kind')} {one.get('metadata', {}).get('name')}"
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            print(f"{name}: {where}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            print(f"{name}: no schema of {one.get('apiVersion')}")
