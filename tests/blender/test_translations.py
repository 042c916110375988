"""Labels and tooltips in other languages: that none is missing, and that numbers agree."""

import ast
import os
import re
from pathlib import Path

import bpy
import numpy as np
import pytest

from near_blender import properties, translations
from near_blender.asset import looks, photo_options
from near_blender.panels import preferences as preferences_panels
from near_core import errors
from near_core.published import checkpoints
from near_core.worker import protocol
from tests.messages import list_templates

ROOT = Path(__file__).resolve().parents[2] / "near_blender"
GROUPS = (*properties.GROUPS.values(), looks.NEAR_PG_look, photo_options.NEAR_PG_origin, photo_options.NEAR_PG_photo,
          photo_options.NEAR_PG_origin_photo, preferences_panels.NEAR_AP_preferences)


def of_properties(found) -> set[str]:
    texts = set()
    for prop in found:
        if not prop.is_hidden and prop.identifier not in ("rna_type", "filepath", "directory", "files"):
            texts |= {prop.name, prop.description}
            texts |= {text for item in getattr(prop, "enum_items", ()) for text in (item.name, item.description)}
    return texts


def list_texts() -> set[str]:
    """What an artist reads that has no names and numbers in it."""
    texts = set()
    for name in dir(bpy.ops.near):
        rna = getattr(bpy.ops.near, name).get_rna_type()
        texts |= {rna.name, rna.description} | of_properties(rna.properties)
    for group in GROUPS:
        own = {name for kind in group.__mro__ for name in vars(kind).get("__annotations__", {})}
        texts |= of_properties(prop for prop in group.bl_rna.properties if prop.identifier in own)
    texts |= {text for each in checkpoints.CATALOGUE.values() for text in (each.licence, each.notes, each.use)}
    texts |= {getattr(bpy.types, name).bl_label for name in dir(bpy.types)
              if name.startswith("NEAR") and hasattr(getattr(bpy.types, name), "bl_label")}
    for path in ROOT.rglob("*.py"):
        if "lab" not in path.parts:
            texts |= of_layouts(ast.parse(path.read_text()))
    return {text for text in texts if re.search(r"[A-Za-z]", text)} - {"(undocumented operator)"}


def of_layouts(tree: ast.AST) -> set[str]:
    """Constant texts of buttons and labels, and reasons why they are grey."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [keyword.value for call in calls for keyword in call.keywords if keyword.arg in ("text", "placeholder")]
    found += [argument for call in calls for argument in call.args
              if getattr(call.func, "attr", getattr(call.func, "id", "")) in ("poll_message_set", "_draw_warning")]
    found = [each for node in found for each in ((node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,))]
    return {node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_text_is_there_in_every_language():
    table, (templates, wrong) = translations.read_table(), list_templates()
    assert wrong == []
    assert len(templates) > 200
    assert sorted((list_texts() | templates) - table.keys()) == []
    assert [text for text, said in table.items() if said.keys() != translations.LOCALES.keys()
            or not all(each.strip() for each in said.values())] == []


def test_damaged_rows_stay_english(tmp_path):
    rows = ("msgid\tde_DE\tzh_HANS", "{n} faces\t{n} Seiten\t{m}", "{n:,} faces\t{n:>9999999999}\t{n.real:,}",
            "Asset\tAsset", "Draft\tEntwurf\t\u8349\u7a3f {", "50 %\t50 {x}\t50 {")
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(rows), encoding="utf-8")
    assert translations.read_table(path) == {
        "{n} faces": {"de_DE": "{n} Seiten"}, "{n:,} faces": {}, "Draft": {"de_DE": "Entwurf"}, "50 %": {}}
    path.write_bytes(b"\xff\xfe")
    assert translations.read_table(path) == translations.read_table(tmp_path / "none.tsv") == {}
    assert translations.make_catalogue({})["de"] == {}


@pytest.mark.parametrize("column", translations.LOCALES)
def test_numbers_names_of_files_and_ends_agree(column):
    for text, said in translations.read_table().items():
        for mark in (*re.findall(r"\{.*?\}|%\w|\.\w{3,5}\b|\b[A-Z]{2,}\b", text), "..." if "..." in text else ""):
            assert mark in said[column], (text, mark)
        assert said[column].endswith(".") == text.endswith("."), text


def test_messages_cross_the_pipe(tmp_path):
    error = errors.NearError("{what} has {millions:.0f} million triangles; {most} million are the most.",
                             "Decimate the mesh.", what=errors.Message("The mesh"), millions=np.float32(31.4), most=20)
    outgoing, (read, write) = tmp_path / "arrays", os.pipe()
    with os.fdopen(read, "rb") as reads, os.fdopen(write, "wb") as writes:
        protocol.Channel(reads, writes, tmp_path / "none", outgoing).send({"what": error.what, "fix": error.fix})
        sent = protocol.Channel(reads, writes, outgoing, tmp_path / "none").receive()
    assert sent["what"] == "The mesh has 31 million triangles; 20 million are the most."
    assert sent["what"].template == error.what.template and sent["what"].values == error.what.values
    assert isinstance(sent["what"].values["what"], errors.Message)
    assert str(errors.NearError(sent["what"], sent["fix"])) == str(error)


def test_blender_finds_them():
    if not bpy.app.build_options.international:
        pytest.skip("this Blender has no languages")
    view = bpy.context.preferences.view
    before = view.language
    try:
        for language, said, hidden in (("de_DE", "Freisteller berichtigen", "Skin ist verborgen."),
                                       ("zh_HANS", "修正遮罩", "Skin 已隐藏.")):
            if language in bpy.app.translations.locales:
                view.language, view.use_translate_interface = language, True
                assert bpy.app.translations.pgettext("Correct Matte", "Operator") == said
                view.use_translate_reports = True
                assert translations.say("{name} is hidden.", name="Skin") == hidden, "names stay as they are"
    finally:
        view.language = before
