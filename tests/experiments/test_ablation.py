"""The ablation: other orders of a subset estimate the same gradient, cells are kept, the table says what they say."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from hashlib_nb import ppo
from hashlib_nb.experiments import ablation
from hashlib_nb.experiments.ablation import Cell
from tests.experiments.test_grid import synthetic
from tests.helpers import ROOT

FEW = ablation.Args(
    variants=("default", "random weights", "best random"), lengths=(3,), budgets=(20, 40), progress=False
)
POOLS = {0: [synthetic("one", seed=1)], 1: [synthetic("two", seed=2)]}


# --- other orders -----------------------------------------------------------------------------------------------------

K, P = 4, 3


def sharp_agent() -> ppo.Agent:
    """A policy that likes some orders of a set far better than others."""
    torch.manual_seed(1)
    agent = ppo.Agent(K, 8)
    with torch.no_grad():
        agent.policy[-1].weight.mul_(300)
    return agent


def episodes_of(orders) -> tuple[torch.Tensor, torch.Tensor]:
    """bits int [p, e] and masks bool [p, e, k] of orders, by hand."""
    bits = torch.tensor(orders).T
    masks = torch.zeros(*bits.shape, K, dtype=torch.bool)
    for e, order in enumerate(orders):
        for t in range(len(order)):
            masks[t, e, list(order[:t])] = True
    return bits, masks


def log_probabilities(agent: ppo.Agent, bits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """log pi [p, e] of each step, through the whole network."""
    return agent.log_probabilities(masks).gather(-1, bits[..., None]).squeeze(-1)


@pytest.mark.parametrize("exact", [True, False])
def test_other_orders_are_of_the_same_subsets_from_the_same_starts(exact):
    agent, generator = sharp_agent(), torch.Generator().manual_seed(0)
    bits, masks = episodes_of(list(itertools.permutations(range(K), P)))
    with torch.no_grad():
        log_probs = log_probabilities(agent, bits, masks)
        new = ablation.reorder(agent, bits, masks[1:], log_probs[1:], generator, exact=exact)
        again, states = episodes_of(new[0].T.tolist())
        torch.testing.assert_close(new[1], states[1:])
        torch.testing.assert_close(new[2], log_probabilities(agent, again, states)[1:], atol=1e-5, rtol=1e-4)
    assert (new[0][0] == bits[0]).all()
    assert (new[0].sort(dim=0).values == bits.sort(dim=0).values).all()
    assert (new[0] != bits).any()


def test_orders_that_pass_metropolis_and_hastings_give_the_gradient_of_the_expected_reward():
    """Against the sum over all orders: both the distribution of orders and the estimate of the gradient."""
    agent, number = sharp_agent(), 100_000
    orders = list(itertools.permutations(range(K), P))
    bits, masks = episodes_of(orders)
    reward_of = {
        frozenset(s): value for s, value in zip(itertools.combinations(range(K), P), (0.1, 0.9, 0.4, 0.6), strict=True)
    }
    rewards = torch.tensor([reward_of[frozenset(order)] for order in orders])
    log_p = log_probabilities(agent, bits, masks).sum(dim=0)
    assert log_p.exp().max() / log_p.exp().min() > 20
    bias = agent.policy[-1].bias
    (truth,) = torch.autograd.grad((rewards * log_p.exp()).sum(), bias, retain_graph=True)

    generator = torch.Generator().manual_seed(0)
    acted = torch.multinomial(log_p.exp(), number, replacement=True, generator=generator)
    with torch.no_grad():
        steps = log_probabilities(agent, bits, masks)[:, acted]
        found = ablation.reorder(agent, bits[:, acted], masks[:, acted], steps, generator, exact=True)
    places = {order: place for place, order in enumerate(orders)}
    now = torch.tensor([places[tuple(order)] for order in found[0].T.tolist()])
    share = torch.bincount(now, minlength=len(orders)) / number
    torch.testing.assert_close(share, log_p.exp().detach(), atol=4 * 0.5 / number**0.5, rtol=0)
    assert 0.05 < (now != acted).float().mean() < 0.95

    each = torch.stack([torch.autograd.grad(log, bias, retain_graph=True)[0] for log in log_p])  # [orders, k]
    estimates = rewards[now][:, None] * each[now]
    error = estimates.std(dim=0) / number**0.5
    assert ((estimates.mean(dim=0) - truth).abs() < 4 * error + 1e-6).all()
    uniform = sum(
        log_p[places[o]].exp().detach()
        * rewards[places[o]]
        * each[[places[q] for q in itertools.permutations(o)]].mean(dim=0)
        for o in orders
    )
    assert ((uniform - truth).abs() > 8 * error).any()  # orders at random instead are biased, and this would show it


# --- cells ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Work in this process, with files in a folder of the test."""
    monkeypatch.setattr(ablation, "in_workers", lambda work, jobs, workers, **_: (work(*job) for job in jobs))
    monkeypatch.setattr(ablation.artifacts, "project_root", lambda: tmp_path)
    return FEW.folder(0).parent


def test_each_cell_is_a_search_within_its_budget(here):
    cells = ablation.run(POOLS, FEW)
    assert {(c.pool, c.variant, c.budget) for c in cells} == {
        *itertools.product(("one", "two"), FEW.variants, (20, 40))
    }
    for cell in cells:
        assert 0 < cell.calls <= cell.budget
        again = ablation.run_cell(
            POOLS[cell.pool_seed][0], cell.pool_seed, cell.variant, cell.n_bits, cell.budget, cell.seed
        )
        assert replace(again, seconds=0) == replace(cell, seconds=0)
    assert len({*here.glob("*-ablation/*.json")}) == len(cells)


def test_finished_cells_are_not_made_again_and_others_are(here, monkeypatch, capsys):
    cells = ablation.run(POOLS, FEW)
    paths = sorted(here.glob("*-ablation/*.json"))
    record = json.loads(paths[0].read_text())
    paths[0].write_text(json.dumps(record | {"cell": record["cell"] | {"seconds": 123.0}}))
    paths[1].write_text("{")
    again = ablation.run(POOLS, FEW)
    assert [replace(cell, seconds=0) for cell in again] == [replace(cell, seconds=0) for cell in cells]
    assert [cell.seconds for cell in again].count(123.0) == 1
    said = capsys.readouterr().out
    assert f"loaded {len(cells) - 1} of {len(cells)} cells" in said
    assert "cannot be used" in said
    changed = {**ablation.VARIANTS, "random weights": lambda search, seed: search(np.eye(1, search.k, dtype=np.uint8))}
    monkeypatch.setattr(ablation, "VARIANTS", changed)  # other settings
    capsys.readouterr()
    assert ablation.settings_of("random weights") == {}
    monkeypatch.setattr(
        ablation, "run_cell", lambda pool, seed, variant, *key: Cell(variant, pool.name, seed, *key, 0.5, 0.5, 1, 9.0)
    )
    assert {c.seconds == 9.0 for c in ablation.run(POOLS, FEW) if c.variant == "random weights"} == {True}
    assert capsys.readouterr().out.count("by other settings") == 4


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hashlib_nb.experiments import ablation
from tests.experiments.test_ablation import FEW, POOLS
if __name__ == "__main__":
    ablation.run(POOLS, replace(FEW, workers=1, seeds=tuple(range(300))))
"""


@pytest.mark.process
def test_a_killed_run_keeps_its_cells_and_goes_on(tmp_path, monkeypatch):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    run = subprocess.Popen([sys.executable, script, ROOT], stdout=subprocess.PIPE)
    while not (left := list(FEW.folder(0).glob("*.json"))):
        assert run.poll() is None
        time.sleep(0.05)
    run.kill()
    run.communicate(timeout=60)
    path = left[0]
    cell = json.loads(path.read_text())["cell"]
    few = replace(FEW, lengths=(cell["n_bits"],), budgets=(cell["budget"],), seeds=(cell["seed"],), workers=1)
    again = ablation.run({cell["pool_seed"]: POOLS[cell["pool_seed"]]}, few)
    assert [each.seconds for each in again if each.variant == cell["variant"]] == [cell["seconds"]]


# --- the table --------------------------------------------------------------------------------------------------------


def cells_of(rewards: dict[str, list[float]], budget: int = 10) -> list[Cell]:
    """A cell for each variant and pool."""
    return [
        Cell(variant, "pool", i, 2, budget, 0, value, value / 2, budget, 1.0)
        for variant, values in rewards.items()
        for i, value in enumerate(values)
    ]


def test_differences_are_paired_by_pool_with_students_interval():
    rewards = {"default": [0.5, 0.6, 0.8], "critic": [0.52, 0.61, 0.83], "16 episodes": [0.5, 0.6, 0.8]}
    found = ablation.differences(cells_of(rewards)).set_index("variant")
    low, high = stats.t.interval(0.95, 2, 0.02, np.std([0.02, 0.01, 0.03], ddof=1) / 3**0.5)
    assert found.loc["critic", ["mean", "low", "high"]].tolist() == pytest.approx([0.02, low, high])
    assert found.loc["16 episodes", "mean"] == 0
    assert (found.pools == 3).all()
    with pytest.raises(ValueError, match="none of the variant 'default'"):
        ablation.differences(cells_of({"critic": [0.5]}))


def test_several_seeds_of_a_pool_are_one_block():
    """Their mean counts, however many they are: pairs are no independent pools."""
    cells = cells_of({"default": [0.5, 0.6], "critic": [0.6, 0.8]})
    more = [replace(cell, seed=1, reward=cell.reward + 0.01 * (cell.variant == "critic")) for cell in cells]
    found = ablation.differences(cells + more)
    assert found["pools"].tolist() == [2]
    assert found["mean"].tolist() == pytest.approx([0.155])


def test_the_table_has_a_line_a_variant_and_a_column_a_budget():
    cells = cells_of({"default": [0.5, 0.6], "critic": [0.6, 0.8]})
    cells += cells_of({"default": [0.7, 0.7], "critic": [0.8, 0.9]}, budget=20)
    found = ablation.table(cells)
    assert list(found.index) == ["default", "critic"]
    assert found["at 10"].tolist() == pytest.approx([0.55, 0.7])
    assert found["at 20"].tolist() == pytest.approx([0.7, 0.85])
    assert found["test mAP"].tolist() == pytest.approx([0.35, 0.425])
    assert pd.isna(found.loc["default", "difference"])
    assert found.loc["critic", "difference"] == pytest.approx(0.15)


def test_the_figure_has_a_panel_a_budget():
    cells = cells_of({"default": [0.5, 0.6], "critic": [0.6, 0.8]})
    cells += cells_of({"default": [0.7, 0.7], "critic": [0.8, 0.9], "16 episodes": [0.7, 0.7]}, budget=20)
    panels = ablation.figure(cells).axes
    assert [ax.get_title() for ax in panels] == ["10 calls", "20 calls"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["critic", "16 episodes"]
    np.testing.assert_allclose(panels[1].collections[-1].get_offsets()[:, 0], [15, 0], atol=1e-9)


def test_each_variant_changes_a_setting_of_the_default_or_the_orders():
    default = ablation.settings_of("default")
    ours = [name for name in ablation.VARIANTS if ablation.settings_of(name)]
    assert all(ablation.settings_of(name) != default for name in ours if name != "default")
    assert len({str(ablation.settings_of(name)) for name in ours}) == len(ours)
    assert set(ablation.VARIANTS) - set(ours) == {ablation.METHODS[name].title for name in ablation.RIVALS}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"variants": ("critic",)}, "variants has no 'default', which the others are compared with: add it"),
        ({"variants": ("default", "luck")}, "variants is .*; give some of default, "),
        ({"pools": ("lake",)}, "pools is .*; give some of 64, "),
        ({"lengths": (64,), "pools": ("64",)}, "pool 64 has 64 bits: keep fewer"),
        ({"budgets": (0,)}, "budgets"),
    ],
)
def test_bad_arguments_get_a_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        ablation.Args(**given)
