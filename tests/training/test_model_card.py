"""The texts about a trained model report its metadata."""

from pathlib import Path

from zoo.training.model_card import trained_model_card, training_summary

TRAINED = {
    "regzoo": "0.1.0",
    "model": "unireg",
    "start": {"variant": "compact", "sha256": "ab" * 32},
    "data": {"content": "cd" * 32, "split": "train", "validated": "val", "plan": {"name": "p"}},
    "recipe": {"learning_rate": 0.5, "batch": 2.0},
    "steps": 8,
    "best_step": 4.0,
    "figure": "dice_after",
    "figures_before": {"dice_before": 0.1, "dice_after": 0.25, "folding_percent": 0.0},
    "figures_after": {"dice_before": 0.1, "dice_after": 0.50004, "folding_percent": 1.5},
    "sha256": "ef" * 32,
}


def test_the_card_has_the_figures_before_and_after_and_the_recipe():
    card = trained_model_card("UniReg, trained further", TRAINED)
    lines = card.splitlines()
    assert lines[0] == "# UniReg, trained further"
    assert "| Dice | 0.1 | 0.25 | 0.5 |" in lines
    assert "| Folded voxels, % | - | 0 | 1.5 |" in lines
    assert "- batch: 2" in lines
    assert "- steps: 8, the best at 4" in lines
    assert f"- weights: sha256 {'ef' * 32}" in lines
    assert f"from compact (sha256 {'ab' * 32})." in card
    assert f"digest {'cd' * 32}, trained on the split train, validated on the split val" in card
    assert "with the best Dice" in card
    assert "HD95" not in card  # because the validation pairs have none


def test_the_card_of_a_search_has_no_weights_and_no_curve():
    trained = {k: v for k, v in TRAINED.items() if k != "sha256"} | {
        "start": {"variant": "accurate settings"},
        "figure": None,
    }
    card = trained_model_card("MCBO", trained)
    assert "curve.png" not in card
    assert "sha256" not in card
    assert "with the last validation" in card


def test_the_summary_names_the_change_of_each_figure_and_the_next_command():
    lines = training_summary(Path("out"), TRAINED).splitlines()
    assert lines == [
        "8 steps, the best at 4",
        "dice_after: 0.25 -> 0.5",
        "folding_percent: 0 -> 1.5",
        "written to out; use it with --model out of regzoo register, plan or run",
    ]
