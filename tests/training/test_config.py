from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eggseg import cli
from eggseg.errors import InputError
from eggseg.training.config import PROFILES, Config, decisive

FIELDS = [field.name for field in dataclasses.fields(Config)]


@pytest.fixture(autouse=True)
def no_sagemaker(monkeypatch):
    for name in ("SM_CHANNEL_TRAINING", "SM_OUTPUT_DATA_DIR", "SM_MODEL_DIR", "SM_NUM_GPUS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path):
    def written(content: object) -> str:
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(content))
        return str(path)

    return written


def test_the_defaults():
    config = Config.from_args([])
    assert config == Config()
    assert (config.data_dir, config.output_dir, config.export_dir) == (Path("data"), Path("run"), None)
    assert (config.image_size, config.seed, config.num_gpus) == (400, 0, -1)


@pytest.mark.parametrize(
    "args",
    [
        ["--image_size", "96", "--val_fraction", "0.25", "--data_dir", "x"],
        ["--image-size", "96", "--val-fraction", "0.25", "--data-dir", "x"],
        ["--image_size=96", "--val-fraction=0.25", "--data_dir=x"],
    ],
)
def test_flags_take_underscores_and_hyphens(args):
    config = Config.from_args(args)
    assert (config.image_size, config.val_fraction, config.data_dir) == (96, 0.25, Path("x"))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], False),
        (["--resume"], True),
        (["--resume", "True"], True),
        (["--resume=True"], True),
        (["--resume", "False"], False),
        (["--resume=False"], False),
        (["--no_resume"], False),
        (["--resume", "False", "--seed", "3"], False),
    ],
)
def test_a_boolean_stands_alone_or_takes_true_or_false(args, expected):
    assert Config.from_args(args).resume is expected


def test_what_schedulers_add_is_taken():
    args = ["--model_dir", "s3://bucket/model", "--epochs", "3", "--learning-rate", "1e-05"]
    config = Config.from_args(args)
    assert (config.epochs, config.learning_rate) == (3, 1e-5)


def test_the_command_line_overrules_the_file(file):
    path = file({"epochs": 5, "seed": 7, "resume": True, "init": None})
    for args in (
        ["--config", path, "--seed", "9"],
        ["--seed", "9", "--config", path],
        ["--seed=9", f"--config={path}"],
    ):
        config = Config.from_args(args)
        assert (config.epochs, config.seed, config.resume) == (5, 9, True)
    assert Config.from_args(["--config", path, "--resume", "False"]).resume is False


def test_the_record_of_a_run_is_a_config(file):
    assert Config.from_args(["--config", file({"settings": {"epochs": 5}, "versions": {"keras": "3"}})]).epochs == 5


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(data_dir=Path("a b"), export_dir=Path("/x"), resume=True, init=Path("w.h5"), num_gpus=0),
        Config(learning_rate=1e-5, model_dir="s3://b", split="session", precision="bfloat16", augment=0.0),
    ],
)
def test_settings_come_back_from_json(config, file):
    assert Config.from_args(["--config", file(config.to_json())]) == config


@pytest.mark.parametrize("args", [["--colour", "red"], ["--epochs", "many"], ["--split", "odd"], ["stray"]])
def test_what_is_no_setting_ends_with_code_2_and_is_named(args, capsys):
    with pytest.raises(SystemExit) as exit:
        Config.from_args(args)
    assert exit.value.code == 2
    assert args[0] in capsys.readouterr().err


def test_what_is_no_setting_in_the_file_ends_with_code_2(file, capsys):
    with pytest.raises(SystemExit) as exit:
        Config.from_args(["--config", file({"colour": "red"})])
    assert exit.value.code == 2
    assert "colour" in capsys.readouterr().err


@pytest.mark.parametrize("content", [[1, 2], "text", 3, {"settings": [1]}])
def test_a_file_that_holds_no_settings_is_an_error(file, content):
    with pytest.raises(InputError, match="holds no JSON object"):
        Config.from_args(["--config", file(content)])


def test_a_config_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json cannot be read"):
        Config.from_args(["--config", str(tmp_path / "gone.json")])
    with pytest.raises(InputError, match="--config takes the name"):
        Config.from_args(["--config"])


def test_the_environment_of_sagemaker_gives_the_defaults(monkeypatch):
    monkeypatch.setenv("SM_CHANNEL_TRAINING", "/opt/ml/input/data/training")
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    monkeypatch.setenv("SM_MODEL_DIR", "/opt/ml/model")
    monkeypatch.setenv("SM_NUM_GPUS", "4")
    config = Config.from_args([])
    assert config.data_dir == Path("/opt/ml/input/data/training")
    assert config.output_dir == Path("/opt/ml/output/data")
    assert config.export_dir == Path("/opt/ml/model")
    assert config.num_gpus == 4
    assert Config.from_args(["--num_gpus", "0", "--data_dir", "here"]).data_dir == Path("here")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 15),
        ("base_filters", 0),
        ("depth", 0),
        ("depth", 9),
        ("stem_stride", 0),
        ("stem_stride", 5),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("val_fraction", -0.01),
        ("val_fraction", 0.51),
        ("epochs", -1),
        ("minutes", 0.0),
        ("minutes", float("nan")),
        ("minutes", 10_001.0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("warmup_epochs", -1.0),
        ("ema_decay", 1.0),
        ("augment", 2.1),
        ("patience", -1),
        ("folds", 1),
        ("folds", -2),
        ("fold", 0),
        ("fold", "session"),
        ("dice", -0.5),
        ("encoder_rate", -1.0),
        ("frozen_levels", 6),
        ("frozen_epochs", -1.0),
        ("num_gpus", -2),
    ],
)
def test_a_value_out_of_range_names_its_flag(name, value):
    with pytest.raises(InputError, match=rf"^--{name} is {value}, expected "):
        Config(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_size", 16), ("depth", 8), ("stem_stride", 4), ("dropout", 0.0), ("val_fraction", 0.5), ("augment", 2.0)],
)
def test_the_ends_of_a_range_are_in_it(name, value):
    assert getattr(Config(**{name: value}), name) == value


@pytest.mark.parametrize(("fold", "folder"), [("all", "run"), (3, "run/fold3"), ("session", "run/session")])
def test_each_fold_has_a_folder(fold, folder):
    assert Config(folds=5, fold=fold).run_dir == Path(folder)


@pytest.mark.parametrize("fold", [5, -1])
def test_a_fold_that_there_is_not_is_an_error(fold):
    with pytest.raises(InputError, match=rf"--fold is {fold}, expected all, session, or 0 to --folds - 1"):
        Config(folds=5, fold=fold)


def test_a_profile_stands_for_settings_that_others_overrule(file, monkeypatch):
    monkeypatch.setitem(PROFILES, "quick", {"epochs": 3, "image_size": 96, "seed": 4})
    config = Config.from_args(["--profile", "quick", "--image_size", "128", "--config", file({"seed": 5})])
    assert (config.profile, config.epochs, config.image_size, config.seed) == ("quick", 3, 128, 5)
    assert Config.from_args(["--config", file({"profile": "quick"})]).epochs == 3
    assert Config.from_args(["--profile=default"]) == Config()


@pytest.mark.parametrize("minutes", [["--minutes", "60"], ["--minutes=60.0"]])
def test_minutes_take_the_place_of_the_epochs_of_a_profile(minutes):
    assert Config.from_args(["--profile", "best"]).epochs == 120
    config = Config.from_args(["--profile", "best", *minutes])
    assert (config.minutes, config.epochs, config.image_size) == (60, 0, 512)
    assert Config.from_args(["--profile", "best", *minutes, "--epochs", "9"]).epochs == 9


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_a_valid_set_of_settings(name):
    config = Config.from_args(["--profile", name])
    assert {key: getattr(config, key) for key in PROFILES[name]} == PROFILES[name]


def test_what_a_run_that_goes_on_must_share():
    shared = decisive(Config(output_dir=Path("a"), resume=True, cache="disk").to_json())
    assert shared == decisive(Config(output_dir=Path("b"), cache="memory", num_gpus=0).to_json())
    assert shared != decisive(Config(seed=1).to_json())
    assert shared != decisive(Config(image_size=401).to_json())


def test_what_an_earlier_version_called_otherwise_is_understood(file) -> None:
    now = Config(labelled_photos=5).to_json()
    before = {("labels" if name == "labelled_photos" else name): value for name, value in now.items()}
    assert Config.from_args(["--config", file({"settings": before})]) == Config(labelled_photos=5)
    assert decisive(before) == decisive(now)


def test_null_in_the_file_is_none_whatever_the_environment_says(file, monkeypatch) -> None:
    monkeypatch.setenv("SM_MODEL_DIR", "/opt/ml/model")
    assert Config.from_args([]).export_dir == Path("/opt/ml/model")
    assert Config.from_args(["--config", file({"export_dir": None})]).export_dir is None
    fold = dataclasses.replace(Config(folds=2, fold=0), export_dir=None)
    assert Config.from_args(["--config", file(fold.to_json())]) == fold


@pytest.mark.parametrize("name", ["epochs", "data_dir", "model_dir", "resume", "fold", "split"])
def test_null_for_what_is_never_none_is_an_error(file, name) -> None:
    with pytest.raises(InputError, match=rf"settings\.json: {name} is null, expected a value"):
        Config.from_args(["--config", file({name: None})])


def test_a_value_of_the_file_is_no_flag(file) -> None:
    assert Config.from_args(["--config", file({"output_dir": "--resume"})]) == Config(output_dir=Path("--resume"))


def test_help_has_a_group_for_each_kind_of_setting(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        Config.from_args(["--help"])
    _, *parts = re.split(r"(?m)^\W*(\w+) options\W*$", capsys.readouterr().out)
    boxes = dict(zip(parts[::2], parts[1::2], strict=True))
    groups = {name: set(re.findall(r"(?m)^\W*--(\w+)[ ,]", box)) for name, box in boxes.items()}
    assert {"data_dir", "labelled_photos", "split"} <= groups["data"]
    assert {"encoder", "image_size", "init"} <= groups["network"]
    assert {"epochs", "learning_rate", "seed"} <= groups["training"]
    assert {"output_dir", "resume", "export_dir"} <= groups["output"]
    assert groups["machine"] == {"precision", "cache", "distribution", "num_gpus"}
    assert sorted(name for names in groups.values() for name in names) == sorted(FIELDS)


def test_help_tells_of_every_setting(capsys):
    with pytest.raises(SystemExit) as exit:
        Config.from_args(["--help"])
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    assert [name for name in [*FIELDS, "config"] if f"--{name}" not in shown.replace("-no_", "-")] == []
    assert "pixels" in shown


@pytest.mark.parametrize(
    "module",
    ["training.config", "train", "predict", "evaluate", "data.pairs", "data.split", "files", "pictures.pillow"],
)
def test_import_does_not_wait_for_tensorflow(module):
    code = f"import sys, eggseg.{module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_of_training_does_not_wait_for_tensorflow():
    code = """
import sys, eggseg.train
try:
    eggseg.train.main(["--help"])
finally:
    assert "tensorflow" not in sys.modules
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "--image_size" in ran.stdout


def stopped() -> int:
    raise KeyboardInterrupt


def unusable() -> int:
    raise InputError("a.png is empty")


def unwritable() -> int:
    raise PermissionError(13, "Permission denied", "/run/x")


@pytest.mark.parametrize(
    ("command", "code", "line"),
    [
        (lambda: 0, 0, ""),
        (lambda: 1, 1, ""),
        (unusable, 2, "error: a.png is empty\n"),
        (unwritable, 2, "error: /run/x: Permission denied\n"),
        (stopped, 130, "stopped\n"),
    ],
    ids=["well", "failed", "unusable", "unwritable", "stopped"],
)
def test_a_command_ends_with_a_code_and_at_most_one_line(command, code, line, capsys):
    assert cli.run(command) == code
    assert capsys.readouterr().err == line


def test_a_mistake_in_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 // 0)


def test_what_an_earlier_version_did_not_have_was_as_the_default_is() -> None:
    now = Config(epochs=3).to_json()
    before = {name: value for name, value in now.items() if name != "labelled_photos"}
    assert decisive(before) == decisive(now)
    assert decisive(before) != decisive(Config(epochs=3, labelled_photos=5).to_json())


@pytest.mark.parametrize(
    ("args", "starts", "share"),
    [
        ([], True, 0.5),
        (["--profile", "quick"], True, 0.5),
        (["--scene_share", "0.25"], True, 0.25),
        (["--init", "none"], False, 0),
        (["--init", "none", "--scene_share", "0.3"], False, 0.3),
        (["--init", "run"], False, 0),
        (["--base_filters", "16"], False, 0),
        (["--encoder", "plain"], False, 0),
        (["--encoder_weights", "none"], False, 0),
        (["--classes", "classes.json"], False, 0),
        (["--scenes", "100"], False, 0),
        (["--scenes", "100", "--init", "scenes"], True, 0),
    ],
)
def test_runs_of_the_default_network_start_from_scenes_and_train_beside_them(args, starts, share):
    config = Config.from_args(args)
    assert (config.starts_from_scenes, config.share_of_scenes) == (starts, share)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--init_share", "0.95"], "--init_share is 0.95, expected 0 to 0.9"),
        (["--init", "none", "--init_share", "0.2"], "is 0.2, expected 0 unless --init loads a whole network"),
    ],
)
def test_a_share_of_first_weights_has_its_conditions(args, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Config.from_args(args)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--folds", "5"], "--val_fraction is 0.0, expected above 0 with --folds"),
        (["--keep", "best"], "--keep is best, expected last with --val_fraction 0"),
        (["--patience", "3"], "--patience is 3, expected 0 with --val_fraction 0"),
        (["--labelled_photos", "3"], "--labelled_photos is 3, expected 0 with --val_fraction 0"),
    ],
)
def test_without_photos_held_out_nothing_may_depend_on_them(more, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Config.from_args(["--val_fraction", "0", *more])


def test_runs_with_and_without_scenes_are_told_apart():
    before = {
        name: value for name, value in Config().to_json().items() if name not in ("init", "scene_share", "init_share")
    }
    alone = decisive(Config(init="none").to_json())
    assert decisive(before) == decisive(before | {"init": None}) == alone, "an earlier version knew no scenes"
    assert decisive(Config().to_json()) != alone
    assert decisive(Config(init="none", scene_share=0.5).to_json()) != decisive(Config().to_json())
    assert decisive(Config(init="scenes").to_json()) == decisive(Config().to_json())
    assert decisive(Config(init_share=0.2).to_json()) != decisive(Config().to_json())
