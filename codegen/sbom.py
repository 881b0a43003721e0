"""Software bills of materials as CycloneDX 1.6: what a header, or a wheel, is made of, by names, versions and hashes.

Without a date and a serial number, so that the same input gives the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable

from signbit import __version__
from signbit.codegen.plan import Plan

FORMAT = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
SIGNBIT = {
    "type": "application",
    "bom-ref": f"pkg:pypi/signbit@{__version__}",
    "name": "signbit",
    "version": __version__,
    "purl": f"pkg:pypi/signbit@{__version__}",
    "licenses": [{"license": {"id": "MIT"}}],
}


def header_bom(plan: Plan, file: str, text: bytes) -> str:
    """That of the header `text` in `file`: it consists of a model and of code that signbit wrote, and needs nothing."""
    model = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{plan.model_hash}",
        "name": plan.model_name,
        "version": plan.model_hash[:8],
        "hashes": [{"alg": "SHA-256", "content": plan.model_hash}],
    }
    header = {
        "type": "file",
        "bom-ref": f"header:{sha256(text)}",
        "name": file,
        "version": plan.model_hash[:8],
        "hashes": [{"alg": "SHA-256", "content": sha256(text)}],
    }
    return bom(header, [model], tools=[SIGNBIT])


def bom(component: dict, parts: Iterable[dict], tools: Iterable[dict] = ()) -> str:
    """JSON of what `component` consists of, or needs; `tools` made it."""
    parts, tools = list(parts), list(tools)
    metadata = {"component": component} | ({"tools": {"components": tools}} if tools else {})
    needs = [{"ref": component["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}]
    content = {"$schema": SCHEMA, **FORMAT, "metadata": metadata, "components": parts, "dependencies": needs}
    return json.dumps(content, indent=2) + "\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
