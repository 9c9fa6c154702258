"""Volumes for other programs: their own readers find values, axes and voxel, and so do ours."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOImage import vtkNrrdReader

from bl_steer.analysis import structure, superresolution
from bl_steer.analysis.structure.from_files import inputs_from_file
from bl_steer.files import open_stack
from bl_steer.files.formats import FORMS
from bl_steer.files.volumes import write_volume

VOXEL = (100.0, 12.0, 7.5)
PHASES = ("oxide", "carbon", "void")
LABELS = np.random.default_rng(0).integers(0, 3, (5, 14, 23)).astype(np.uint8)
OME = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}


def of_imagej(path: Path) -> tuple[NDArray[Any], list[float]]:
    with tifffile.TiffFile(path) as file:
        known: dict[str, Any] = file.imagej_metadata or {}
        per_um = [file.pages[0].tags[code].value for code in (283, 282)]
        assert (known["unit"], file.series[0].axes) == ("um", "ZYX")
        edges = [1e3 * known["spacing"], *(1e3 * b / a for a, b in per_um)]
        return file.asarray(), edges


def of_ome_tiff(path: Path) -> tuple[NDArray[Any], list[float]]:
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "ZYX"
        pixels = ET.fromstring(str(file.ome_metadata)).find(".//ome:Pixels", OME)
        assert pixels is not None
        assert {pixels.get(f"PhysicalSize{axis}Unit") for axis in "XYZ"} == {"nm"}
        assert [int(pixels.get(f"Size{axis}", 0)) for axis in "ZYX"] == list(LABELS.shape)
        return file.asarray(), [float(pixels.get(f"PhysicalSize{axis}", 0)) for axis in "ZYX"]


def of_ome_zarr(path: Path) -> tuple[NDArray[Any], list[float]]:
    group: Any = zarr.open_group(str(path), mode="r")
    ome = group.attrs["ome"]
    (scales,) = ome["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in scales["axes"]} == {"nanometer"}
    assert [row["name"] for row in ome["image-label"]["properties"]] == list(PHASES)
    (finest,) = scales["datasets"]
    (scale,) = finest["coordinateTransformations"]
    return group[finest["path"]][:], scale["scale"]


def of_nrrd(path: Path) -> tuple[NDArray[Any], list[float]]:
    values, header = nrrd.read(str(path), index_order="C")
    assert header["units"] == ["nm"] * 3
    reader = vtkNrrdReader()  # ParaView's
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    seen = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    np.testing.assert_array_equal(seen, values)
    assert list(image.GetSpacing()) == list(header["spacings"])
    return values, header["spacings"][::-1].tolist()


READERS = {
    "imagej": of_imagej,
    "ome-tiff": of_ome_tiff,
    "ome-zarr": of_ome_zarr,
    "nrrd": of_nrrd,
}


@pytest.mark.parametrize("form", FORMS)
def test_other_readers_and_ours_find_values_axes_and_voxel(form: str, tmp_path: Path) -> None:
    path = write_volume(tmp_path / "labels", LABELS, VOXEL, form, PHASES)
    assert path.name == f"labels{FORMS[form]}"
    values, edges = READERS[form](path)
    np.testing.assert_array_equal(values, LABELS)
    assert values.dtype == LABELS.dtype
    np.testing.assert_allclose(edges, VOXEL, rtol=1e-6)
    stored = open_stack(path)
    np.testing.assert_array_equal(np.asarray(stored.array[:]), LABELS)
    assert stored.known["voxel_size_nm"] == list(VOXEL)
    assert (stored.known["pitch_nm"], stored.known["pixel_size_nm"]) == (100.0, 7.5)
    of_labels = structure.inputs_from_file(path)
    assert of_labels.metadata["voxel_size_nm"] == list(VOXEL)
    named = list(PHASES) if form in ("ome-zarr", "nrrd") else None
    assert of_labels.metadata.get("phases") == named
    of_slices = superresolution.inputs_from_files([path])
    assert of_slices.metadata == {"pitch_nm": 100.0, "pixel_size_nm": 7.5}
    assert any("7.5 nm wide and 12 nm high" in note for note in of_slices.notes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["bool", "uint16", "int64", "float16", "float32", "float64"])
def test_no_value_changes_whatever_its_type(form: str, dtype: str, tmp_path: Path) -> None:
    volume = (np.random.default_rng(1).random(LABELS.shape) * 3).astype(dtype)
    path = write_volume(tmp_path / "volume", volume, VOXEL, form)
    stored = open_stack(path)
    np.testing.assert_array_equal(np.asarray(stored.array[:]), volume)
    assert stored.known["voxel_size_nm"] == list(VOXEL)


@pytest.mark.parametrize("form", FORMS)
def test_an_edge_that_is_not_known_is_not_made_up(form: str, tmp_path: Path) -> None:
    path = write_volume(tmp_path / "pages", LABELS, (None, 10.0, 10.0), form)
    assert not {"voxel_size_nm", "pitch_nm"} & set(open_stack(path).known)
    path = write_volume(tmp_path / "none", LABELS, (None, None, None), form)
    assert not {"voxel_size_nm", "pixel_size_nm"} & set(open_stack(path).known)


def test_what_has_no_form_or_no_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one of imagej, ome-tiff, ome-zarr, nrrd, got 'vti'"):
        write_volume(tmp_path / "a", LABELS, VOXEL, "vti")
    with pytest.raises(ValueError, match="numbers of 32 bits at most, got 0 … 8589934592"):
        write_volume(tmp_path / "a", np.array([[[0, 2**33]]]), VOXEL, "ome-tiff")
    (tmp_path / "a.ome.zarr").mkdir()
    (tmp_path / "a.ome.zarr" / "of_the_user.txt").touch()
    with pytest.raises(ValueError, match="written over nothing but another"):
        write_volume(tmp_path / "a", LABELS, VOXEL, "ome-zarr")
    assert (tmp_path / "a.ome.zarr" / "of_the_user.txt").exists()
    for edge in (10.0, 20.0):
        write_volume(tmp_path / "b", LABELS, (edge, edge, edge), "ome-zarr")
        assert open_stack(tmp_path / "b.ome.zarr").known["pitch_nm"] == edge


def ome_zarr(path: Path, version: str, axes: str, units: list[str], scale: list[float]) -> None:
    """Write what other programs do: 0.4 in Zarr 2, channels, a pyramid, a scale of the whole."""
    group: Any = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    whole = LABELS.reshape((1,) * (len(axes) - 3) + LABELS.shape)
    for level, array in enumerate((whole, whole[..., ::2, ::2])):
        stored = group.create_array(str(level), shape=array.shape, dtype=array.dtype)
        stored[:] = array
    kinds = {"c": "channel", "t": "time"}
    scales = {
        "version": version,
        "axes": [
            {"name": axis, "type": kinds.get(axis, "space"), **({"unit": unit} if unit else {})}
            for axis, unit in zip(axes, units, strict=True)
        ],
        "datasets": [
            {"path": level, "coordinateTransformations": [{"type": "scale", "scale": edges}]}
            for level, edges in (("0", scale), ("1", [1.0] * len(axes)))
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1.0] * (len(axes) - 1) + [0.5]}],
    }
    told = {"multiscales": [scales]}
    group.attrs.update(told if version == "0.4" else {"ome": {"version": version, **told}})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_of_other_programs_is_read(version: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    um = ["", "", *["micrometer"] * 3]
    ome_zarr(path, version, "tczyx", um, [1, 1, 0.1, 0.012, 0.015])
    stored = open_stack(path)
    assert stored.array.shape == LABELS.shape
    np.testing.assert_array_equal(stored.array[1:3], LABELS[1:3])
    np.testing.assert_array_equal(np.asarray(stored.array), LABELS)
    assert stored.known["voxel_size_nm"] == [100.0, 12.0, 7.5]
    ome_zarr(path, version, "zyx", ["", "", ""], [1, 1, 1])
    said = "a.zarr states edges of 1, 1, 0.5 along z, y, x, without a unit"
    assert open_stack(path).known == {"stated_voxel": said}
    group: Any = zarr.open_group(str(path), mode="a", zarr_format=2 if version == "0.4" else 3)
    channels = group.create_array("two", shape=(2, *LABELS.shape), dtype="uint8")
    channels[:] = np.stack([LABELS, LABELS])
    attributes = dict(group.attrs)
    scales = attributes.get("ome", attributes)["multiscales"][0]
    scales["axes"].insert(0, {"name": "c", "type": "channel"})
    scales["datasets"] = [{"path": "two", "coordinateTransformations": []}]
    group.attrs.update(attributes)
    with pytest.raises(ValueError, match="one channel and time with the axes z, y, x, got 2 in c"):
        open_stack(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_finest_level_of_an_ome_zarr_is_read_wherever_it_is_listed(
    version: str, tmp_path: Path
) -> None:
    ome_zarr(tmp_path / "a.zarr", version, "zyx", ["micrometer"] * 3, [0.1, 0.012, 0.015])
    group: Any = zarr.open_group(str(tmp_path / "a.zarr"), mode="a")
    attributes = dict(group.attrs)
    attributes.get("ome", attributes)["multiscales"][0]["datasets"].reverse()
    group.attrs.update(attributes)
    stored = open_stack(tmp_path / "a.zarr")
    np.testing.assert_array_equal(np.asarray(stored.array), LABELS)
    assert stored.known["voxel_size_nm"] == [100.0, 12.0, 7.5]


def test_a_voxel_of_nrrd_needs_a_unit_and_upright_axes(tmp_path: Path) -> None:
    path = str(tmp_path / "a.nrrd")
    turned = np.array([[10.0, 0, 0], [0, 8.0, 6.0], [0, 0, 100.0]])
    for header, voxel in (
        ({"spacings": [0.01, 0.012, 0.1], "units": ["um"] * 3}, [100.0, 12.0, 10.0]),
        ({"spacings": [10.0, 12.0, 100.0]}, None),
        ({"space dimension": 3, "space directions": np.diag([1e-5, 2e-5, 1e-4]),
          "space units": ["mm"] * 3}, [100.0, 20.0, 10.0]),
    ):  # fmt: skip
        nrrd.write(path, LABELS, header, index_order="C")
        assert open_stack(path).known.get("voxel_size_nm") == voxel
    header = {"space dimension": 3, "space directions": turned, "space units": ["nm"] * 3}
    nrrd.write(path, LABELS, header, index_order="C")
    with pytest.raises(ValueError, match="axes along x, y and z, got turned ones"):
        open_stack(path)
    detached = "NRRD0005\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
    Path(path).write_text(f"{detached}data file: /etc/hostname\n\n")
    with pytest.raises(ValueError, match="its data itself, got a header alone"):
        open_stack(path)
    Path(path).write_bytes(b"NRRD0005\ntype: uint8\n")
    with pytest.raises(ValueError, match="a sound header, got no dimension, sizes, encoding"):
        open_stack(path)
    Path(path).write_text(f"{detached}\n")
    with pytest.raises(ValueError, match="must be whole and readable"):
        open_stack(path)


@pytest.mark.parametrize("form", ["nrrd", "ome-zarr"])
def test_names_by_label_are_those_of_a_list(tmp_path: Path, form: str) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2
    path = write_volume(tmp_path / "v", labels, (100, 10, 10), form, {1: "ball", 0: "void"})
    assert inputs_from_file(path).metadata["phases"] == ["void", "ball"]
    wrong: tuple[Any, ...] = ({1: "ball", 2: "void"}, [0, 1], {0: 3})
    for phases in wrong:
        with pytest.raises(ValueError, match="phases must be the names of the labels 0, 1, …, got"):
            write_volume(tmp_path / "w", labels, (100, 10, 10), form, phases)


@pytest.mark.parametrize("text", ["[0, 1]", "solid and void", "3", '{"0": "void"}'])
def test_a_header_of_nrrd_that_means_another_thing_by_phases_is_no_obstacle(
    tmp_path: Path, text: str
) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2
    nrrd.write(str(tmp_path / "v.nrrd"), labels, {"phases": text}, index_order="C")
    assert "phases" not in inputs_from_file(tmp_path / "v.nrrd").metadata
