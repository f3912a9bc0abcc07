"""Attribution graphs as a person reads them: what is traced, its nodes, its edges, its proof."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lmsaes.circuits import TraceConfig, keep_graph, trace
from lmsaes.database import Database, EmbeddedServer
from lmsaes.demo import MODEL
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE, sae_hash
from tests.support import made_up_analysis as made_up
from tests.support.made_up_transcoders import made_up_transcoders

from .conftest import serving
from .pages import axe, heading, press

pytestmark = pytest.mark.browser

PROMPT = "The piano was in the"


@pytest.fixture(scope="module")
def graphs(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """`piano`, checked in the real model, over transcoders of layers 0, 1 and 3."""
    lm = LanguageModel.load(str(MODEL), "cpu")
    kinds = ["relu", "batchtopk", None, "relu"]
    folder = tmp_path_factory.mktemp("transcoders") / "run"
    run = made_up_transcoders(lm, folder, kinds, skip=True, features=made_up.FEATURES)
    with Database(f"{server.uri}/graphs") as database:
        for each in sorted(run.iterdir()):
            sae = SAE.load(each)
            made_up.publish(
                database,
                f"run:{each.name}",
                model=str(MODEL),
                hook=sae.config.hook,
                target=sae.config.target,
                sae_path=str(each),
                sae_hash=sae_hash(each, sae),
                run="run",
            )
        config = TraceConfig(transcoders=(str(run),), prompt=PROMPT, nodes=60, verify=4)
        keep_graph(database, "piano", trace(config, lm))
        yield database


@pytest.fixture(scope="module")
def address(built: None, graphs: Database) -> Iterator[str]:
    with serving(graphs, model=str(MODEL)) as address:
        yield address


def opened(page: Page, rest: str = "") -> Locator:
    """The graph's page, once its nodes are there."""
    page.goto("about:blank")  # another fragment alone would not load the page anew
    page.goto(f"/graphs/piano{rest}")
    expect(page.locator("[data-node]").first).to_be_visible()
    return page.locator(".node[aria-pressed=true]")


def a_feature(graphs: Database) -> str:
    """The id of the most influential feature."""
    record = graphs.graphs.get("piano")
    assert record is not None
    shown = graphs.graphs.contents(record)
    assert shown is not None
    kinds, influence = shown.nodes["kind"], shown.nodes["influence"]
    return shown.ids[max(range(len(kinds)), key=lambda n: (kinds[n] == 0) * influence[n])]


def test_scores_and_proof_stand_beside_each_other(page: Page) -> None:
    opened(page)
    facts = page.get_by_role("region", name="How far to believe it").get_by_role("list")
    for name in ("completeness error", "replacement score", "completeness score", "4 ablations"):
        expect(facts).to_contain_text(name)
    page.get_by_role("button", name="how far to believe it").click()
    let_go = page.get_by_role("table", name="What holding things still hides")
    for name in ("attention patterns", "norms", "other MLPs", "everything"):
        expect(let_go.get_by_role("row", name=name, exact=False).first).to_contain_text("%")
    assert "proof" in page.url


def test_a_node_shows_its_edges_and_back_leads_to_the_one_before(
    page: Page, graphs: Database
) -> None:
    selected = opened(page)
    expect(selected).to_have_count(1)
    first = selected.get_attribute("data-node")
    node = a_feature(graphs)
    page.locator(f".node[data-node='{node}']").click()
    expect(page).to_have_url(re.compile(f"node={node}"))
    expect(selected).to_have_attribute("data-node", node)
    expect(page.locator(".lines path").first).to_have_attribute("d", re.compile("^M"))
    into = page.locator(".edges").filter(has_text="what drives it")
    into.get_by_role("button").first.click()
    expect(page).not_to_have_url(re.compile(f"node={node}$"))
    page.go_back()
    expect(selected).to_have_attribute("data-node", node)
    page.go_back()
    expect(selected).to_have_attribute("data-node", first or "")


def test_thresholds_say_how_many_they_hide(page: Page) -> None:
    opened(page)
    nodes = page.locator("[data-node]")
    all_nodes = nodes.count()
    slider = page.get_by_role("slider", name="nodes that hold")
    slider.fill("40")
    said = page.locator(".threshold").filter(has_text="nodes that hold")
    expect(said).not_to_contain_text(" 0 hidden")
    hidden = int(re.findall(r"(\d+) hidden", said.inner_text())[0])
    assert nodes.count() == all_nodes - hidden < all_nodes
    page.get_by_role("slider", name="edges of").fill("50")
    edges = page.locator(".threshold").filter(has_text="edges of")
    expect(edges).not_to_contain_text(" 0 hidden")
    expect(page).to_have_url(re.compile("keep=0.4&least=0.05"))
    page.get_by_role("button", name="hide errors").click()
    expect(page.locator(".node.error")).to_have_count(0)
    expect(page.get_by_role("button", name="errors hidden")).to_be_visible()


def test_keys_reach_everything_and_leave_tab_alone(page: Page, graphs: Database) -> None:
    node = a_feature(graphs)
    selected = opened(page, f"#node={node}")
    selected.focus()
    press(page, "ArrowUp")
    expect(selected).to_be_focused()
    expect(selected).not_to_have_attribute("data-node", node)
    above = selected.get_attribute("data-node")
    press(page, "ArrowDown")
    press(page, "Tab")
    expect(page.locator(".graph-area :focus")).to_have_count(0)  # one stop
    press(page, "j")
    press(page, "p")
    pinned = selected.get_attribute("data-node") or ""
    expect(page.get_by_role("group", name="Pinned").get_by_role("button")).to_have_count(1)
    press(page, "h")
    expect(page.locator(f".node[data-node='{pinned}']")).to_have_count(0)
    page.get_by_role("button", name="hidden by hand").click()
    expect(page.locator(f".node[data-node='{pinned}']")).to_have_count(1)
    assert above is not None
    page.locator(f".node[data-node='{node}']").click()
    press(page, "o")
    expect(page).to_have_url(re.compile(r"/saes/run:layer-\d/features/\d+"))
    expect(page.get_by_text("Graphs it is in")).to_be_visible()
    page.get_by_role("link", name=PROMPT).first.click()
    expect(page).to_have_url(re.compile(r"/graphs/piano#node="))


def test_nodes_get_a_name_together_that_is_kept(page: Page, graphs: Database) -> None:
    node = a_feature(graphs)
    selected = opened(page, f"#node={node}&pin=error_0_1")
    press(page, "g")
    page.get_by_role("textbox", name="Name of a new group").fill("what pianos do")
    page.keyboard.press("Enter")
    expect(selected).to_have_attribute("data-node", "group:what pianos do")
    expect(page.locator(".edges li").first).to_be_visible()
    record = graphs.graphs.get("piano")
    assert record is not None
    assert [(each.name, set(each.nodes)) for each in record.groups] == [
        ("what pianos do", {node, "error_0_1"})
    ]
    page.reload()
    expect(page.get_by_role("group", name="Groups")).to_contain_text("what pianos do")
    page.get_by_role("button", name="undo the group").click()
    expect(page.get_by_role("group", name="Groups")).to_have_count(0)
    expect(page.locator(f".node[data-node='{node}']")).to_be_visible()


def test_an_edge_is_split_by_head(page: Page, graphs: Database) -> None:
    opened(page, f"#node={a_feature(graphs)}")
    edge = page.locator(".edges li").filter(has=page.get_by_role("button", name="split by head"))
    edge.first.get_by_role("button", name="split by head").click()
    split = re.compile(r"attention \d.*past it", re.DOTALL)
    expect(page.locator(".split")).to_contain_text(split, timeout=60_000)  # the model is loaded
    expect(page).to_have_url(re.compile("edge="))


def test_what_the_graph_predicts_stands_beside_what_the_model_does(
    page: Page, graphs: Database
) -> None:
    opened(page, f"#node={a_feature(graphs)}")
    page.get_by_role("button", name="ablate").click()
    outputs = page.get_by_role("table", name="Outputs")
    expect(outputs.locator("tbody tr").first).to_be_visible(timeout=60_000)
    expect(outputs.locator("tbody tr").first).to_contain_text(re.compile(r"[+−]"))
    expect(page.locator(".next-tokens")).to_contain_text("→")


def test_a_prompt_is_traced_from_its_page(page: Page, graphs: Database) -> None:
    page.goto("/prompt#sae=run:layer-0&text=It+was+a+river")
    page.get_by_role("link", name="trace this").click()
    expect(page).to_have_url(re.compile("/graphs/it-was-a-river"), timeout=60_000)
    expect(page.locator("[data-node]").first).to_be_visible()
    expect(page.locator(".graph-prompt")).to_contain_text("It was a river")
    page.goto("/graphs")
    page.get_by_role("button", name="Remove the graph it-was-a-river").click()
    page.get_by_role("button", name="remove it for good").click()
    expect(page.get_by_role("link", name="It was a river")).to_have_count(0)
    expect(page.get_by_role("link", name=PROMPT)).to_be_visible()
    assert [each.name for each in graphs.graphs.all()] == ["piano"]


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_a_graph(
    page: Page, graphs: Database, theme: Literal["light", "dark"], width: int
) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 900})
    opened(page, f"#node={a_feature(graphs)}&proof=&pin=error_0_1")
    expect(page.locator(".top-context .peak")).to_be_visible()
    assert axe(page) == []


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_layers_are_lists(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    opened(page)
    expect(page.locator(".lines")).to_be_hidden()
    expect(page.get_by_role("group", name="layer 3").get_by_role("list").first).to_be_visible()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0


def test_the_graph_leaves_as_circuit_tracers_file(page: Page) -> None:
    opened(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="export JSON").click()
    text = Path(download.value.path()).read_text()
    assert '"links"' in text
    assert download.value.suggested_filename == "piano.json"


def test_without_a_model_and_without_graphs_the_page_says_what_to_do(
    browser: Browser, built: None, server: EmbeddedServer, graphs: Database
) -> None:
    with Database(f"{server.uri}/no-graphs") as empty, serving(empty) as other:
        page = browser.new_page()
        page.goto(f"{other}/graphs")
        expect(page.locator("main .command").first).to_contain_text("lmsaes demo --trace")
        expect(page.locator("main .command").last).to_contain_text("lmsaes trace ")
        page.goto(f"{other}/graphs/nothing")
        expect(page.get_by_role("alert")).to_contain_text("nothing")
        page.close()
    with serving(graphs, model="none") as other:
        page = browser.new_page()
        page.goto(f"{other}/graphs/piano#node={a_feature(graphs)}")
        expect(page.locator("aside .command")).to_contain_text("--model auto")
        expect(page.get_by_role("button", name="split by head")).to_have_count(0)
        page.close()


def test_the_list_says_what_was_checked(page: Page) -> None:
    page.goto("/graphs")
    expect(heading(page)).to_have_text("Graphs")
    row = page.get_by_role("row").filter(has_text=PROMPT)
    expect(row).not_to_contain_text("not checked")
    expect(row).to_contain_text(re.compile(r"−?\.\d\d"))
