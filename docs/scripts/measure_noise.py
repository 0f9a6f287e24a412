"""What SOCOFing's obliterations were blended with; writes fpml/alteration/noise.npy.

    python docs/scripts/measure_noise.py SOCOFing

SOCOFing: a folder with Real and Altered. An altered print is (1 - weight) · real + weight · noise. The region is where both
differ, the weight follows from it (fpml/alteration/noise.py), and of the noise three pictures are found, each the median over
all prints that it covered, pixel by pixel: of anyone's ridges nothing is left. Printed is how far prints lie from what this
predicts, grey levels, and the weight's law as measured without it.
"""

import argparse
from pathlib import Path

import numpy as np
from measure_repair import grey, prints
from scipy import ndimage
from scipy.optimize import curve_fit

import fpml
from fpml.alteration.noise import KNOWN, largest, weights

FRAME = (97, 90)
CLEAR = 25.0  # grey levels between noise and print, from which on a pixel tells whether it was covered
ROUNDS = 5
SEEN = 3  # prints of which a pixel of the noise is known


def region(altered: np.ndarray, real: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
    """Which pixels were covered: those that differ, and of those that can't be told what the nearest that can were."""
    covered = altered != real
    if noise is None:
        covered = ndimage.binary_closing(np.pad(covered, 4), iterations=2)[4:-4, 4:-4]
    else:
        told = np.abs(np.nan_to_num(noise, nan=128.0) - real) > CLEAR
        nearest = ndimage.distance_transform_edt(~told, return_distances=False, return_indices=True)
        covered = np.where(told, covered, covered[tuple(nearest)])
    covered[[0, -1]] = covered[:, [0, -1]] = False
    return largest(covered)


def under(altered: np.ndarray, real: np.ndarray, covered: np.ndarray, least: float) -> np.ndarray:
    """The noise of one print (H, W); NaN where it can't be told."""
    weight = weights(covered)
    told = (weight > least) & (altered > 0) & (altered < 255)
    return np.where(told, (altered - (1 - weight) * real) / np.where(told, weight, 1), np.nan)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[both], other[both])[0, 1]) if both.sum() > 150 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("socofing", type=Path)
    parser.add_argument("--subjects", type=int, nargs=2, default=(1, 25), help="first and last of those measured")
    a = parser.parse_args()
    real, altered = prints(a.socofing, range(a.subjects[0], a.subjects[1] + 1))
    pairs = [(cell, grey(path).astype(float), real[stem].astype(float)) for cell, stem, path in altered if cell.endswith("Obl")]
    pairs = [(cell, one, other) for cell, one, other in pairs if one.shape == FRAME]
    noise = beginning([under(one, other, region(one, other, None), 0.6) for cell, one, other in pairs if cell == "Hard Obl"])
    for _ in range(ROUNDS):
        found: list[list[np.ndarray]] = [[] for _ in range(KNOWN)]
        off: dict[str, list[float]] = {}
        laws = []
        for cell, one, other in pairs:
            tries = []
            for number, picture in enumerate(noise):
                covered = region(one, other, picture)
                weight = weights(covered)
                told = covered & np.isfinite(picture)
                if told.sum() > 60:
                    gap = np.abs(one - ((1 - weight) * other + weight * picture).clip(0, 255))[told]
                    tries.append((float(np.median(gap)), number, covered))
            if not tries:
                continue
            gap, number, covered = min(tries, key=lambda t: t[0])
            off.setdefault(cell, []).append(gap)
            if gap < 1:
                found[number].append(under(one, other, covered, 0.15))
                laws.append(law(one, other, noise[number], covered))
        with np.errstate(all="ignore"):
            stacks = [np.array(some) for some in found]
            noise = [np.where(np.isfinite(s).sum(0) >= SEEN, np.nanmedian(s, 0), np.nan) for s in stacks]
        told = {cell: np.quantile(gaps, (0.1, 0.5, 0.75)).round(2).tolist() for cell, gaps in off.items()}
        print([len(some) for some in found], "prints; grey levels that they are off, a tenth, half and three quarters:", told)
    steep, middle = np.median([p for p in laws if p is not None], 0)
    print(f"the law: steep {steep:.2f}, middle {middle:.3f}; known {[round(float(np.isfinite(n).mean()), 3) for n in noise]}")
    out = np.stack([filled(n.clip(0, 255)) for n in noise])
    np.save(Path(fpml.__file__).parent / "alteration" / "noise.npy", np.rint(out).astype(np.uint8))


def law(one: np.ndarray, other: np.ndarray, noise: np.ndarray, covered: np.ndarray) -> np.ndarray | None:
    """Steepness and middle of the logistic that a print's own weights follow."""
    depth = ndimage.distance_transform_cdt(np.pad(covered, 1), "chessboard")[1:-1, 1:-1] / 1.0
    told = covered & (np.abs(noise - other) > 90) & (one > 0) & (one < 255)
    if told.sum() < 300:
        return None
    weight = ((one - other)[told] / (noise - other)[told]).clip(-1, 2)
    found = curve_fit(lambda x, s, m: 1 / (1 + np.exp(-s * (x - m))), depth[told] / depth.max(), weight, p0=(4.0, 0.4))
    return np.asarray(found[0])


def beginning(some: list[np.ndarray]) -> list[np.ndarray]:
    """The three pictures that most prints show parts of: of those that are alike, the mean."""
    groups: list[list[np.ndarray]] = []
    for one in sorted(some, key=lambda n: -np.isfinite(n).sum()):
        means = [np.nanmean(group, 0) for group in groups]
        fits = [alike(one, mean) for mean in means]
        if fits and max(fits) > 0.7:
            groups[int(np.argmax(fits))].append(one)
        elif np.isfinite(one).sum() > 800:
            groups.append([one])
    largest = sorted(groups, key=len)[-KNOWN:]
    spread = [float(np.nanstd(np.nanmedian(group, 0))) for group in largest]
    return [np.nanmedian(largest[k], 0) for k in np.argsort(spread)[::-1]]  # the coarsest has most contrast


def filled(noise: np.ndarray) -> np.ndarray:
    """With what no print tells taken from elsewhere in the same noise."""
    out, elsewhere = noise.copy(), noise
    while np.isnan(out).any():
        elsewhere = np.roll(elsewhere, (29, 31), (0, 1))
        out = np.where(np.isnan(out), elsewhere, out)
    return out


if __name__ == "__main__":
    main()
