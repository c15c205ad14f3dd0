"""`make mwaa`: what Amazon MWAA takes, in dist/mwaa. Standard library only.

plugins.zip holds the package, the plugin file and .airflowignore, and nothing else (MWAA unpacks it into its plugins folder);
dags/ holds the DAG files, and what the team keeps in include/ beside them, because MWAA has no such folder. The zip is the same, byte for
byte, for the same sources.
"""

import shutil
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EPOCH = (2026, 1, 1, 0, 0, 0)
LEFT_OUT = {"__pycache__", ".DS_Store"}


def plugin_files(plugins: Path) -> list[Path]:
    """What goes into plugins.zip, sorted."""
    package = [path for path in (plugins / "tablekeep").rglob("*") if path.is_file()]
    chosen = [path for path in package if not LEFT_OUT & set(path.parts) and path.suffix != ".pyc"]
    return sorted([*chosen, plugins / "tablekeep_plugin.py", plugins / ".airflowignore"])


def write_zip(target: Path, base: Path, paths: list[Path]) -> None:
    """Writes a reproducible zip."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            entry = zipfile.ZipInfo(path.relative_to(base).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def build(out: Path, include: Path = ROOT / "include") -> None:
    """Writes everything into `out`, which is emptied before."""
    if out.exists():
        shutil.rmtree(out)
    dags = out / "dags"
    dags.mkdir(parents=True)
    write_zip(out / "plugins.zip", ROOT / "plugins", plugin_files(ROOT / "plugins"))
    for file in sorted((ROOT / "dags").glob("*.py")):
        shutil.copyfile(file, dags / file.name)
    for folder in ("pipelines", "environments", "sql", "scripts"):
        if (include / folder).is_dir():
            shutil.copytree(include / folder, dags / folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    # Airflow would run each Python script there while it looks for DAGs
    (dags / ".airflowignore").write_text("scripts/\n")
    shutil.copyfile(ROOT / "requirements.txt", out / "requirements.txt")


def main() -> None:
    """Builds, and says what to do with it."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "mwaa"
    build(out)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    for path in files:
        print(f"{path.stat().st_size:>9,}  {path.relative_to(out)}")
    print(
        f"Copy {out.name}/dags to the environment's dags folder; name plugins.zip and requirements.txt in the environment,"
    )
    print(
        "and set TABLEKEEP_ENV in its start-up script (export TABLEKEEP_ENV=prod; for scripts TABLEKEEP_ALLOW_SCRIPTS=true)."
    )


if __name__ == "__main__":
    main()
