import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.card import ModelCard, encode_card
from model.onnx import OnnxNetwork
from model.onnx_file import refuse_external_data
from tests.networks import write_mean

CARD = ModelCard("Any", "", 2, ("a",), (0.0,) * 2, (1.0,) * 2, 4.0, threshold=0.4)


def outside(name="weight"):
    """A tensor whose values are said to lie in another file."""
    tensor = numpy_helper.from_array(np.zeros((2, 3), np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    return tensor


def inside(name="weight"):
    return numpy_helper.from_array(np.zeros((2, 3), np.float32), name)


def graph_of(nodes=(), tensors=()):
    return helper.make_graph(list(nodes), "graph", [], [], list(tensors))


def in_constant(tensor):
    return graph_of([helper.make_node("Constant", [], ["a"], value=tensor)])


def in_branch(tensor):
    branch = graph_of(tensors=[tensor])
    return graph_of([helper.make_node("If", ["a"], ["b"], then_branch=branch, else_branch=graph_of())])


PLACES = {"weights": lambda tensor: graph_of(tensors=[tensor]), "a constant": in_constant, "a branch": in_branch}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_found_wherever_it_stands(place, tmp_path):
    model = helper.make_model(PLACES[place](outside()))
    helper.set_model_props(model, encode_card(CARD))
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    for read in (refuse_external_data, OnnxNetwork):
        with pytest.raises(ValueError, match=r"a\.onnx keeps tensors in another file"):
            read(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(helper.make_model(PLACES[place](inside())).SerializeToString())
    refuse_external_data(tmp_path / "b.onnx")


def test_tensors_of_functions_are_looked_at(tmp_path):
    node = helper.make_node("Constant", [], ["a"], value=outside())
    function = helper.make_function("ours", "f", [], ["a"], [node], [helper.make_opsetid("", 18)])
    model = helper.make_model(graph_of(), functions=[function])
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="another file"):
        refuse_external_data(tmp_path / "a.onnx")


def test_a_file_that_onnx_saved_apart_is_refused(tmp_path):
    model = helper.make_model(graph_of(tensors=[inside()]))
    onnx.save(model, tmp_path / "one.onnx")
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, size_threshold=0)
    refuse_external_data(tmp_path / "one.onnx")
    with pytest.raises(ValueError, match="another file"):
        refuse_external_data(tmp_path / "two.onnx")


def test_a_whole_file_passes(tmp_path):
    refuse_external_data(write_mean(tmp_path / "one.onnx", CARD))


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no model", b"\x3a\x7f\x00"])
def test_what_is_no_onnx_file_is_refused_by_name(content, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.onnx is no readable ONNX file"):
        refuse_external_data(tmp_path / "a.onnx")


def test_parts_inside_each_other_without_end_are_refused(tmp_path):
    inner = b""
    for _ in range(80):  # a graph in an attribute in a node in a graph
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            inner = tag + varint(len(inner)) + inner
    (tmp_path / "a.onnx").write_bytes(b"\x3a" + varint(len(inner)) + inner)
    with pytest.raises(ValueError, match="too deep"):
        refuse_external_data(tmp_path / "a.onnx")


def varint(value):
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])
