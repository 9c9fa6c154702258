"""Small scans written by the tests, by the formats' documentation."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

XRDML = """<?xml version="1.0" encoding="UTF-8"?>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/2.1" status="Completed">
<xrdMeasurement measurementType="Area measurement" status="Completed">
<usedWavelength intended="K-Alpha 1"><kAlpha1 unit="Angstrom">1.540598</kAlpha1>
<kAlpha2 unit="Angstrom">1.544426</kAlpha2><kBeta unit="Angstrom">1.39225</kBeta>
<ratioKAlpha2KAlpha1>0.5</ratioKAlpha2KAlpha1></usedWavelength>
{scans}
</xrdMeasurement></xrdMeasurements>"""
XRDML_SCAN = """<scan appendNumber="0" mode="Continuous" scanAxis="2Theta" status="{status}">
<reflection><material>Si</material><hkl><h>2</h><k>2</k><l>4</l></hkl><unitCell>
<alpha unit="deg">90</alpha><beta unit="deg">90</beta><gamma unit="deg">90</gamma>
<a unit="Angstrom">5.43104</a><b unit="Angstrom">5.43104</b><c unit="Angstrom">5.43104</c>
</unitCell></reflection><dataPoints>
<positions axis="2Theta" unit="deg">{two_theta}</positions>
<positions axis="Omega" unit="deg"><commonPosition>{omega}</commonPosition></positions>
<commonCountingTime unit="seconds">2.0</commonCountingTime>
{counts}
</dataPoints></scan>"""
ENDS = "<startPosition>87.0</startPosition><endPosition>89.0</endPosition>"


def xrdml(path: Path, *scans: Mapping[str, str], template: str = XRDML) -> Path:
    """Write scans of five counts; each mapping replaces parts of a sound one."""
    sound = {
        "status": "Completed",
        "two_theta": ENDS,
        "omega": "79",
        "counts": '<counts unit="counts">1 2 9 2 1</counts>',
    }
    written = [XRDML_SCAN.format(**{**sound, **scan}) for scan in scans]
    path.write_text(template.format(scans="\n".join(written)), encoding="utf-8")
    return path


CONDITIONS = """<?xml version="1.0" encoding="utf-8"?><MeasurementConditions>
<HWConfigurations><XrayGenerator><WaveType>Ka1</WaveType>
<WavelengthKalpha1>{wavelength}</WavelengthKalpha1></XrayGenerator></HWConfigurations>
<Axes><Axis Name="Omega" Unit="{unit}" Position="{omega}" State="Scan" />
<Axis Name="TwoTheta" Unit="deg" Position="88.0" State="Fixed" />
<Axis Name="IS" Unit="" Position="0.100mm" State="Fixed" /></Axes>
<ScanInformation><AxisName>{axis}</AxisName><Mode>STEP</Mode><Speed>1.5</Speed>
<SpeedUnit>sec</SpeedUnit><PositionUnit>deg</PositionUnit><DataCount>{n}</DataCount>
</ScanInformation></MeasurementConditions>"""
PROFILE = "87\t1\t1\r\n88\t9\t10\r\n89\t1\t1\r\n"


def rasx(path: Path, *steps: Mapping[str, str], without: str = "") -> Path:
    """Write profiles of three counts; each mapping replaces parts of a sound one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, step in enumerate(steps):
            sound = {
                "wavelength": "1.540593",
                "unit": "deg",
                "omega": str(78 + number),
                "axis": "TwoTheta",
                "n": "3",
                "profile": PROFILE,
            }
            parts = {**sound, **step}
            members = {
                f"Data{number}/Profile{number}.txt": "\ufeff" + parts.pop("profile"),
                f"Data{number}/MesurementConditions{number}.xml": CONDITIONS.format(**parts),
            }
            for name, text in members.items():
                if not without or without not in name:
                    archive.writestr(name, text)
        archive.writestr("root.xml", "<Root />")
    return path
