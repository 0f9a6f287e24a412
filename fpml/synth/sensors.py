"""The sensors: what a device makes of the finger that lies on it.

Looks, not copies: sizes and dpi are the published ones of FVC2002 (Maio et al. 2002) and of the makers'
data sheets; grey levels, noise and wear were chosen by eye beside such prints.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sensor:
    height: int  # pixels
    width: int  # pixels
    dpi: int
    background: float  # grey level of the empty plate, 0-255
    ridge: float  # grey level of a full ridge, 0-255
    vignette: float  # grey levels lost from the middle to the corners
    grain: float  # standard deviation of the noise, grey levels
    stripes: float  # standard deviation of the column pattern, grey levels
    sharpness: float  # how steeply grey follows skin contact; large gives near-binary prints
    blur: float  # pixels
    border: int  # pixels of frame that the device's software draws round the picture (SOCOFing has one)
    contact: tuple[float, float]  # half width and half height of the contact area, pixels at 500 dpi


SENSORS = {
    "fvc2002-db1": Sensor(374, 388, 500, 253, 8, 0, 1, 0, 7.0, 0.5, 0, (118, 165)),
    "fvc2002-db2": Sensor(560, 296, 569, 178, 42, 34, 3, 0, 3.2, 0.9, 0, (125, 205)),
    "fvc2002-db3": Sensor(300, 300, 500, 112, 34, 8, 9, 2.5, 3.0, 0.6, 0, (112, 128)),
    "fvc2002-db4": Sensor(384, 288, 500, 190, 22, 40, 4, 0, 4.5, 0.7, 0, (110, 165)),
    "secugen": Sensor(300, 260, 500, 232, 60, 12, 4, 0, 3.6, 0.8, 0, (115, 140)),
    "lumidigm": Sensor(400, 280, 500, 150, 70, 26, 5, 0, 1.8, 1.3, 0, (122, 190)),
    "socofing": Sensor(103, 96, 180, 254, 10, 0, 5, 0, 5.0, 0.35, 2, (122, 135)),
}
