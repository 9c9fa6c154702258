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


SPEC = """#F scan.spec
#E 1700000000
#D Mon Nov 20 10:00:00 2023
#O0 Delta  Eta  Chi  Phi
#O1 Nu  Mu  Sample X
"""
SPEC_SCAN = """
#S {number} ascan  eta 20 22 2 1
#D Mon Nov 20 10:00:00 2023
#T 1  (Seconds)
#G3 {ub}
#G4 0 0 0 {wavelength} 0 0
#P0 40 20 90 0
#P1 0 {mu} 3.5
#N 7
#L {columns}
{rows}
"""
COLUMNS = "Eta  H  K  L  Seconds  Monitor  Detector"
ROWS = "20 2 2 0 1 1000 5\n21 2 2 0 1 1001 50\n22 2 2 0 1 999 5"


def spec(path: Path, *scans: Mapping[str, str]) -> Path:
    """Write scans of three points; each mapping replaces parts of a sound one."""
    text = SPEC
    for number, scan in enumerate(scans, start=1):
        sound = {
            "number": str(number),
            "ub": "1.15691 0 0 0 1.15691 0 0 0 1.15691",
            "wavelength": "1.3",
            "mu": "0",
            "columns": COLUMNS,
            "rows": ROWS,
        }
        text += SPEC_SCAN.format(**{**sound, **scan})
    path.write_text(text)
    return path


BRML = """<?xml version="1.0" encoding="utf-8"?>
<RawData xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><FixedInformation>
<Instrument><WaveLengthAlpha1 Value="1.540600" /></Instrument>
<Drives><InfoData LogicName="Chi"><Position Value="0.5" Unit="deg" /></InfoData>
<InfoData LogicName="X"><Position Value="12" Unit="mm" /></InfoData></Drives></FixedInformation>
<DataRoutes><DataRoute RouteFlag="{flag}">
{rows}
<DataViews>
<RawDataView xsi:type="FixedRawDataView" Start="0" Length="1" LogicName="MeasuredTime" />
<RawDataView xsi:type="FixedRawDataView" Start="1" Length="1" LogicName="AbsorptionFactor" />
<RawDataView xsi:type="VaryingRawDataView" Start="2" Length="2"><Varying>
<FieldDefinitions FieldName="TwoTheta" AxisId="TwoTheta" />
<FieldDefinitions FieldName="Theta" AxisId="Theta" /></Varying></RawDataView>
<RawDataView xsi:type="RecordedRawDataView" Start="4" Length="1">
<Recording LogicName="Temperature" /></RawDataView>
<RawDataView xsi:type="RecordedRawDataView" Start="5" Length="{length}">
<Recording LogicName="ScanCounter" /></RawDataView>
</DataViews></DataRoute></DataRoutes></RawData>"""
DATUM = "<Datum>0.5,1,{two_theta},{theta},25,{counts}</Datum>"


def brml(path: Path, *scans: Mapping[str, str]) -> Path:
    """Write scans of three rows; each mapping replaces parts of a sound one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Experiment0/DataContainer.xml", "<DataContainer />")
        for number, scan in enumerate(scans):
            rows = "".join(
                DATUM.format(two_theta=60 + step, theta=30 + number, counts=(3, 30, 3)[step])
                for step in range(3)
            )
            parts = {"flag": "Measured", "rows": rows, "length": "1"} | dict(scan)
            archive.writestr(f"Experiment0/RawData{number}.xml", BRML.format(**parts))
    return path
