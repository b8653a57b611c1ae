"""Imports go down only, and nothing happens at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("utils", "config", "data", "model", "apps")
BELOW = {"utils": {"utils"}, "config": {"config"}, "data": {"data", "utils"}, "model": {"model", "utils"}}
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
TORCH = {"torch", "torchvision", "fastai", "segmentation_models_pytorch", "timm"}
HEAVY = TORCH | {"cv2", "matplotlib", "pandas", "scipy", "tifffile", "zarr", "albumentations", "shapely", "rasterio"}
LIBRARY_FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FILES = [*(ROOT / f"{script}.py" for script in SCRIPTS), *LIBRARY_FILES]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def floor_of(path):
    return path.relative_to(ROOT).parts[0] if path.parent != ROOT else "scripts"


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imported_modules(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.module


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def test_there_is_something_to_check():
    assert {"tiles_creator", "train_net", "test_net"} <= set(SCRIPTS)
    assert len(FILES) > 40


def test_imports_go_down_only(trees):
    ours = {*PACKAGES, *SCRIPTS, "tests", "benchmarks"}
    for path, tree in trees.items():
        floor = floor_of(path)
        roots = {module.split(".")[0] for module in imported_modules(tree)} & ours
        assert roots <= BELOW.get(floor, ours - {"tests", "benchmarks"}), f"{name_of(path)} imports {roots}"


def test_only_scripts_apps_and_build_functions_see_the_config(trees):
    for path, tree in trees.items():
        if floor_of(path) in ("scripts", "apps", "config", "tests"):
            continue
        allowed = [function for function in functions(tree) if function.name.startswith("build_")]
        exempt = {id(node) for function in allowed for node in ast.walk(function)}
        private = PASSED_DOWN.get(name_of(path), set())
        exempt |= {id(n) for f in functions(tree) if f.name in private for n in ast.walk(f)}
        for node in ast.walk(tree):
            name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
            assert name != "cfg" or id(node) in exempt, (
                f"{name_of(path)}:{node.lineno} reads cfg outside a build_* function"
            )


# the door's own rooms: what a door calls with cfg in the same module, and the table of cases, which is a door by itself
PASSED_DOWN = {
    "data/cases.py": {
        *["list_cases", "list_test_cases", "list_unlabelled_cases", "list_slides", "list_pairs"],
        *["_join_run_lengths", "_join_ids"],
    },
    "data/roboflow_cases.py": {"list_roboflow"},
    "data/volume_cases.py": {
        *["list_decathlon", "list_series", "list_kaggle_3m"],
        *["_check_description", "_split", "_draw_patients", "_says_folds"],
    },
    "data/patches/build.py": {"_tiles", "_patches", "_crops"},
    "data/patches/transforms.py": {"_appearance"},
    "model/learner.py": {"fit"},
    "model/predictor.py": {"load_members", "load_member", "load_module", "_card_of_config"},
}


def test_the_list_of_exceptions_names_functions_that_exist(trees):
    for name, allowed in PASSED_DOWN.items():
        assert allowed <= {function.name for function in functions(trees[ROOT / name])}, name


def test_nothing_is_printed_and_nothing_is_imported_by_star(trees):
    for path, tree in trees.items():
        for node in ast.walk(tree):
            is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            assert not is_print, f"{name_of(path)}:{node.lineno} prints"
            star = isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
            assert not star, f"{name_of(path)}:{node.lineno} imports *"


def test_no_path_of_imports_is_bent(trees):
    for path, tree in trees.items():
        for node in ast.walk(tree):
            bent = isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys"
            assert not bent, f"{name_of(path)}:{node.lineno} uses sys.path"


def test_modules_have_at_most_400_lines_and_functions_30(trees):
    for path, tree in trees.items():
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 400, f"{name_of(path)} has {lines} lines"
        for function in functions(tree):
            own = function.body[1:] if ast.get_docstring(function) else function.body
            length = own[-1].end_lineno - own[0].lineno + 1 if own else 0
            assert length <= 30, f"{name_of(path)}: {function.name} has {length} lines"


def loaded_by(code):
    """Modules that are loaded once `code` has run in an interpreter of its own."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return {module.split(".")[0] for module in done.stdout.split()}


@pytest.mark.parametrize("script", SCRIPTS)
def test_importing_a_script_loads_nothing_heavy(script):
    assert not loaded_by(f"import {script}").intersection(HEAVY)


def test_cutting_tiles_and_reading_slides_loads_no_torch():
    modules = [
        "data.cases",
        "data.sources.opening",
        "data.patches.tiles",
        "data.patches.tissue",
        "utils.seed",
        "utils.plots",
    ]
    assert not loaded_by("\n".join(f"import {module}" for module in modules)).intersection(TORCH)


def test_the_flow_of_prediction_needs_no_torch_but_in_the_network():
    modules = [
        "data.stitching.case",
        "data.scoring",
        "data.writers.results",
        "data.writers.mask_tiff",
        "data.writers.rle_csv",
    ]
    assert not loaded_by("\n".join(f"import {module}" for module in modules)).intersection(TORCH)


def test_importing_makes_no_file_and_no_output(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(SCRIPTS)}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []
