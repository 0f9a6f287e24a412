"""The sensors: what a device makes of the finger that lies on it.

Looks, not copies: sizes and dpi are the published ones of FVC2000-2004 (Maio et al.) and of the makers'
data sheets; grey levels, noise and wear were chosen by eye and by histogram beside such prints.
"""

import re
from dataclasses import dataclass

from fpml.base.errors import FpmlError


@dataclass(frozen=True, kw_only=True)
class Sensor:
    name: str
    kind: str  # optical, capacitive, thermal sweep, multispectral
    height: int  # pixels
    width: int  # pixels
    dpi: int
    contact: tuple[float, float]  # half width and half height of the contact area, pixels at 500 dpi
    low: float = 0.0  # pixels at 500 dpi that fingers lie below the plate's middle; some do not fit on it
    background: float  # grey level of the empty plate, 0-255
    ridge: float  # grey level of a full ridge, 0-255
    sharpness: float  # how steeply grey follows skin contact; large gives near-binary prints
    response: float  # 0..1: how much paler a ridge is where skin is dry or the pressure low
    unevenness: float = 1.0  # how strongly uneven contact shows, as grain and breaks
    moist: float = 0.0  # wetness that every finger has on it besides its own: how dark it prints
    bridges: float = 0.0  # 0..1: how easily moisture fills the valleys
    blur: float  # pixels, of the optics
    grain: float  # standard deviation of the noise, grey levels
    vignette: float = 0.0  # grey levels lost from the middle to the corners
    clouds: float = 0.0  # standard deviation of the plate's uneven grey, grey levels; the same in every picture
    columns: float = 0.0  # standard deviation of the pattern of columns, grey levels; the same in every picture
    dirt: float = 0.0  # specks on the plate, a thousand pixels; half of them the same in every picture
    halo: float = 0.5  # 0..1: grey of the specks of sweat round the finger, as a share of a ridge's
    residue: float = 0.0  # share of impressions with the ghost of the one before
    pores: float = 0.5  # 0..1: how well pores are resolved
    magnification: float = 1.0  # DB4's generator draws its ridges closer than fingers have them, and SOCOFing's dpi is a guess
    sweep: float = 0.0  # pixels at 500 dpi that the finger wanders from frame to frame while it is swept
    keystone: float = 0.0  # share by which the picture is narrower at its top
    border: int = 0  # pixels of frame that the device's software draws round the picture (SOCOFing has one)

    def __post_init__(self) -> None:
        if not (64 <= self.height <= 4096 and 64 <= self.width <= 4096):
            raise FpmlError(f"a picture of {self.height} x {self.width} pixels; height and width are from 64 to 4096")
        if not 150 <= self.dpi <= 2000:
            raise FpmlError(f"{self.dpi} dpi; a sensor has from 150 (fewer can't hold a ridge's period) to 2000")
        if min(*self.contact, self.blur, self.magnification, self.sharpness) <= 0 or not 0 <= self.border <= 16:
            raise FpmlError(
                f"sensor '{self.name}': contact, blur, magnification and sharpness are over 0, the border is from 0 to 16"
            )
        if not (0 <= self.ridge <= 255 and 0 <= self.background <= 255) or self.grain < 0:
            raise FpmlError(f"sensor '{self.name}': ridge and background are grey levels from 0 to 255, the grain is 0 or more")


_ALL = (
    Sensor(
        name="fvc2002-db1", kind="optical", height=374, width=388, dpi=500, contact=(118, 178),
        background=255, ridge=10, sharpness=6.0, unevenness=1.25,
        response=0.5, bridges=0.3, blur=0.55, grain=1.0, dirt=0.02, residue=0.05,
    ),
    Sensor(
        name="fvc2002-db2", kind="optical", height=560, width=296, dpi=569, contact=(118, 204),
        unevenness=1.1, background=178, ridge=22, sharpness=5.0,
        response=0.5, bridges=0.5, blur=0.65, grain=2.5, vignette=34, clouds=4, dirt=0.25, residue=0.35,
    ),
    Sensor(
        name="fvc2002-db3", kind="capacitive", height=300, width=300, dpi=500, contact=(114, 135),
        unevenness=1.4, background=108, ridge=28, sharpness=6.0,
        response=0.3, bridges=0.9, blur=0.5, grain=6.0, vignette=6, clouds=9, columns=3.0, dirt=0.3,
    ),
    Sensor(
        name="fvc2002-db4", kind="optical", height=384, width=288, dpi=500, contact=(100, 160),
        unevenness=1.45, background=194, ridge=16, sharpness=4.2,
        response=0.6, bridges=0.1, blur=0.6, grain=2.0, vignette=38, clouds=4, dirt=0.1, magnification=0.86,
    ),
    Sensor(
        name="secugen", kind="optical", height=300, width=260, dpi=500, contact=(112, 142),
        background=236, ridge=48, sharpness=3.6,
        response=0.4, bridges=0.5, blur=0.8, grain=3.5, vignette=12, clouds=3, dirt=0.05, residue=0.1,
    ),
    Sensor(
        name="lumidigm", kind="multispectral", height=400, width=280, dpi=500, contact=(122, 190),
        background=150, ridge=64, sharpness=2.0,
        response=0.25, bridges=0.1, blur=1.2, grain=4.0, vignette=26, clouds=10, pores=0.1, halo=0.0,
    ),
    Sensor(
        name="thermal-sweep", kind="thermal sweep", height=480, width=300, dpi=512, contact=(125, 210),
        background=205, ridge=50, sharpness=3.0,
        response=0.3, bridges=0.3, blur=0.7, grain=7.0, clouds=6, columns=4.0, dirt=0.02, pores=0.2, sweep=0.9, halo=0.15,
    ),
    Sensor(
        name="low-cost", kind="optical", height=300, width=300, dpi=500, contact=(115, 140),
        background=200, ridge=88, sharpness=2.2,
        response=0.5, bridges=0.5, blur=1.3, grain=6.0, vignette=60, clouds=7, dirt=0.4, residue=0.4, pores=0.0, keystone=0.08,
    ),
    Sensor(
        name="socofing", kind="optical", height=103, width=96, dpi=180, contact=(132, 275), low=155,
        background=255, ridge=0, sharpness=6.0,
        response=0.1, moist=0.32, magnification=1.12, bridges=0.6, blur=0.42, grain=1.0, dirt=0.05, halo=0.1, pores=0.1,
        border=2,
    ),
)  # fmt: skip
SENSORS = {sensor.name: sensor for sensor in _ALL}


def random_sensor(number: int) -> Sensor:
    """A sensor that nobody built, drawn by its number: size, plate, contrast, blur, grain, dirt and scale of their widest
    likely ranges. What is learnt from many of them holds on sensors never seen (Tobin et al. 2017 call it domain
    randomisation). Ridge periods come out between 6 and 14 pixels, whatever the finger."""
    import numpy as np  # not for `fpml --help`, which names the sensors

    rng = np.random.default_rng([number, 8128])

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def even(low: float, high: float) -> float:
        """Even in its logarithm."""
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def sometimes(share: float, low: float, high: float) -> float:
        return u(low, high) if rng.uniform() < share else 0.0

    background = 255.0 if rng.uniform() < 0.25 else u(90, 255)
    return Sensor(
        name=f"random-{number}", kind="optical", height=8 * int(rng.integers(36, 53)), width=8 * int(rng.integers(32, 49)),
        dpi=500, contact=(u(85, 155), u(120, 215)), background=background, ridge=u(0, min(110, background - 35)),
        sharpness=even(1.8, 7), unevenness=even(0.6, 2.1), response=u(0.1, 0.75), bridges=u(0, 1.3), blur=even(0.4, 1.5),
        grain=even(0.5, 12), vignette=u(0, 60), clouds=u(0, 12), columns=sometimes(0.25, 0, 6), dirt=even(0.005, 1.2),
        halo=u(0, 1), residue=0.35, pores=sometimes(0.5, 0, 1), magnification=even(0.76, 1.45),
        sweep=sometimes(0.1, 0.2, 1), keystone=sometimes(0.1, 0, 0.1),
    )  # fmt: skip


def sensor_named(name: str) -> Sensor:
    """One of SENSORS, or random-NUMBER. FpmlError for another name."""
    if number := re.fullmatch(r"random-(\d{1,9})", name):
        return random_sensor(int(number[1]))
    if name not in SENSORS:
        raise FpmlError(f"unknown sensor '{name}'; allowed: {', '.join(SENSORS)}, and random-0, random-1, …")
    return SENSORS[name]
