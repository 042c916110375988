"""near_core.published.checkpoints: as a hub lists them, fetched, verified, removed."""

import json

import pytest

from near_core.errors import Cancelled, NearError
from near_core.published import checkpoints
from tests.hub import COMMIT, DATA, publish, stop_at


def test_a_checkpoint_is_fetched_with_the_safe_weights(server, tmp_path):
    publish(server)
    record = checkpoints.fetch("near", tmp_path / "near")
    there = {str(p.relative_to(tmp_path / "near")) for p in (tmp_path / "near").rglob("*") if p.is_file()}
    assert there == {"pipeline.yaml", "ckpts/decoder.json", "ckpts/decoder.safetensors", "ckpts/flow.pt",
                     checkpoints.RECORD}
    assert record.verified and record.revision == COMMIT and checkpoints.read_record(tmp_path / "near") == record
    assert checkpoints.count_bytes(tmp_path / "near", record) == sum(each.size for each in record.files)


STRUCTURE = [f"ckpts/{name}.{kind}" for name in ("ss_flow_img_dit_L_16l8_fp16", "ss_dec_conv3d_16l8_fp16")
             for kind in ("json", "safetensors")]


@pytest.mark.parametrize("name, offered, wanted", [
    ("dinov2", ["config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin"],
     ["config.json", "model.safetensors"]),
    ("trellis", ["pipeline.json", "ckpts/slat_flow_img_dit_L_64l8p2_fp16.safetensors", "ckpts/ss_enc_x.safetensors",
                 *STRUCTURE], ["pipeline.json", *STRUCTURE])])
def test_of_what_stands_beside_a_checkpoint_only_the_needed_parts_come(server, tmp_path, name, offered, wanted):
    publish(server, {path: path.encode() for path in offered}, repository=checkpoints.find(name).repository)
    record = checkpoints.fetch(name, tmp_path / name)
    assert record.verified and {each.path for each in record.files} == set(wanted)
    assert all((tmp_path / name / path).read_bytes() == path.encode() for path in wanted)


def test_an_interrupted_checkpoint_goes_on_with_its_revision(server, tmp_path):
    publish(server)
    with pytest.raises(Cancelled):
        checkpoints.fetch("near", tmp_path, stop_at(0.5))
    record = checkpoints.read_record(tmp_path)
    assert not record.verified and 0 < checkpoints.count_bytes(tmp_path, record) < sum(f.size for f in record.files)
    server.files["/api/models/luh0502/NeAR"] = json.dumps({"sha": "f" * 40}).encode()  # a newer one came out
    server.asked.clear()
    assert checkpoints.fetch("near", tmp_path).revision == COMMIT
    assert not any(path.startswith("/api") for path, _ in server.asked)
    assert any(asked for _, asked in server.asked), "the broken file must be continued"
    server.asked.clear()
    checkpoints.fetch("near", tmp_path)
    assert not server.asked, "nothing is fetched twice"


def test_verify_names_what_is_damaged_and_a_download_mends_it(server, tmp_path):
    publish(server)
    checkpoints.fetch("near", tmp_path)
    path = tmp_path / "ckpts/decoder.safetensors"
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(NearError, match="decoder.safetensors was damaged"):
        checkpoints.verify(tmp_path)
    assert not checkpoints.read_record(tmp_path).verified
    with pytest.raises(NearError, match="not complete"):
        checkpoints.verify(tmp_path)
    checkpoints.fetch("near", tmp_path)
    assert checkpoints.verify(tmp_path).verified and path.read_bytes() == DATA


def test_wrong_bytes_at_the_source_are_refused(server, tmp_path):
    publish(server)
    server.files[f"/luh0502/NeAR/resolve/{COMMIT}/ckpts/decoder.safetensors"] = DATA[::-1]
    with pytest.raises(NearError, match="hash differs"):
        checkpoints.fetch("near", tmp_path)
    assert not (tmp_path / "ckpts/decoder.safetensors").exists()


@pytest.mark.parametrize("path", ["../evil.json", "/etc/evil.json", "a\\..\\b.json", "c:evil.json", "a/../../b.pt"])
def test_paths_that_lead_out_of_the_folder_are_refused(server, tmp_path, path):
    publish(server, change=lambda entries: [*entries, {"type": "file", "path": path, "size": 1, "oid": "0"}])
    with pytest.raises(NearError, match="could not be read"):
        checkpoints.fetch("near", tmp_path / "in")
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"sha": 3}', b'{"sha": "../.."}', b"<html>"])
def test_answers_that_are_no_hub_s_are_refused(server, tmp_path, answer):
    publish(server)
    server.files["/api/models/luh0502/NeAR"] = answer
    with pytest.raises(NearError):
        checkpoints.fetch("near", tmp_path)


def test_only_folders_of_ours_are_removed(server, tmp_path):
    publish(server)
    (tmp_path / "own").mkdir()
    checkpoints.remove(tmp_path / "own")
    assert (tmp_path / "own").is_dir()
    checkpoints.fetch("near", tmp_path / "near")
    checkpoints.remove(tmp_path / "near")
    assert not (tmp_path / "near").exists()
    with pytest.raises(NearError, match="Nothing was downloaded"):
        checkpoints.verify(tmp_path)
