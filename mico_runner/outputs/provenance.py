"""Where a version came from, in the forms of others: an RO-Crate of all its files, a CycloneDX list of the packages it was made with.

RO-Crate Metadata Specification 1.1 (Sefton et al., 2020); CycloneDX 1.6 (ECMA-424).
"""

from __future__ import annotations

import json
import mimetypes
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mico_runner.errors import UsageError
from mico_runner.outputs import store

CRATE = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "https://w3id.org/ro/crate/1.1"
ABOUT = {
    "spec.resolved.yaml": "the spec with all defaults and overrides filled in",
    "manifest.json": "packages, processor, seed; per step its inputs and their sha256",
    "metrics.json": "metrics with unit, direction and tolerance",
    "log.jsonl": "messages of the run",
    "report.html": "all of it to look at",
}
DATE = (1980, 1, 1, 0, 0, 0)  # of every entry: equal versions make equal files


def ro_crate(version: Path) -> dict[str, Any]:
    """The metadata of a crate whose files are those of the version: JSON-LD. Raises UsageError: the version is damaged."""
    manifest = _whole(version)
    sums = {**manifest["artifacts"], "manifest.json": None}
    files = [_file(name, version / name, sums[name]) for name in sorted(sums)]
    software = {
        "@id": "#mico-runner",
        "@type": "SoftwareApplication",
        "name": "mico-runner",
        "version": str(manifest["environment"]["mico_runner"]),
    }
    run = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"run of {manifest['name']}",
        "endTime": manifest["created"],
        "instrument": {"@id": "#mico-runner"},
        "object": [{"@id": "spec.resolved.yaml"}],
        "result": [{"@id": each["@id"]} for each in files if each["@id"] != "spec.resolved.yaml"],
    }
    values = list(_values(version))
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{manifest['name']} {version.name}",
        "description": f"Results of mico-runner's spec {manifest['name']}",
        "datePublished": manifest["created"],
        "hasPart": [{"@id": each["@id"]} for each in files],
        "mentions": [{"@id": "#run"}],
        "variableMeasured": [{"@id": each["@id"]} for each in values],
    }
    descriptor = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": PROFILE},
        "about": {"@id": "./"},
    }
    return {"@context": CONTEXT, "@graph": [descriptor, root, *files, run, software, *values]}


def _whole(version: Path) -> store.Manifest:
    """The manifest of a version that is what was written."""
    if problems := store.verify(version):
        raise UsageError(f"{version}: damaged: {'; '.join(problems[:3])}; run the spec again")
    manifest = store.manifest(version)
    missing = {"name", "created", "environment", "artifacts"} - manifest.keys()
    if missing:
        raise UsageError(f"{version / 'manifest.json'}: no {sorted(missing)[0]!r}; a run writes it")
    return manifest


def _file(name: str, path: Path, sha256: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"@id": name, "@type": "File", "name": name, "contentSize": str(path.stat().st_size)}
    if kind := mimetypes.guess_type(name)[0]:
        found["encodingFormat"] = kind
    if name in ABOUT:
        found["description"] = ABOUT[name]
    return found if sha256 is None else {**found, "sha256": sha256}


def _values(version: Path) -> Iterator[dict[str, Any]]:
    for name, metric in store.metrics(version).items():
        yield {
            "@id": f"#metric-{name}",
            "@type": "PropertyValue",
            "name": name,
            "value": metric.value,
            "unitText": metric.unit,
        }


def write_crate(version: Path, file: Path) -> Path:
    """A zip of the version's files with the crate's metadata among them; the same bytes every time.

    Raises UsageError: the version is damaged, or `file` cannot be written.
    """
    metadata = json.dumps(ro_crate(version), indent=1)
    names = sorted([*store.manifest(version)["artifacts"], "manifest.json"])
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(_entry(CRATE), metadata)
            for name in names:
                made.writestr(_entry(name), (version / name).read_bytes())
    except OSError as error:
        file.unlink(missing_ok=True)
        raise UsageError(f"{error.filename or file}: {error.strerror}") from None
    return file


def _entry(name: str) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name, DATE)
    found.compress_type, found.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return found


def cyclone_dx(version: Path) -> dict[str, object]:
    """The packages that the version was made with. Raises UsageError: the version is damaged."""
    manifest = _whole(version)
    about = manifest["environment"]
    packages = {name: found for name, found in about["packages"].items() if found is not None}
    components = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{found}",
            "name": name,
            "version": found,
            "purl": f"pkg:pypi/{name}@{found}",
        }
        for name, found in sorted(packages.items())
    ]
    own = f"pkg:pypi/mico-runner@{about['mico_runner']}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(manifest, sort_keys=True))}",
        "version": 1,
        "metadata": {
            "timestamp": manifest["created"],
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "mico-runner",
                "version": str(about["mico_runner"]),
                "purl": own,
            },
            "properties": [
                {"name": f"mico-runner:{key}", "value": str(about[key])} for key in ("python", "platform", "processor")
            ],
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": [each["bom-ref"] for each in components]}],
    }
