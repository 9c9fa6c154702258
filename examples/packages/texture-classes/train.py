"""Train the classifier of this package on micrographs made from seeds: some seconds.

python train.py                  # model.pkl
python train.py --format skops   # model.skops, for the sibling package
"""

import argparse
import pickle
from pathlib import Path

import numpy as np
from script import CLASSES, features
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from textures import micrograph

TRAIN = range(100, 112)
TEST = range(200, 206)
SEED = 0


def tiles_of(seeds):
    """Return features and class of the tiles of one micrograph a texture and seed."""
    X, y = [], []
    for label, texture in enumerate(CLASSES):
        for seed in seeds:
            rows = features(micrograph(texture, seed))
            X.append(rows)
            y += [label] * len(rows)
    return np.vstack(X), np.array(y)


def main():
    """Train, test, and save beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--format", choices=("pickle", "skops"), default="pickle")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    model = make_pipeline(
        StandardScaler(), ExtraTreesClassifier(20, min_samples_leaf=3, random_state=SEED)
    )
    model.fit(*tiles_of(TRAIN))
    X, y = tiles_of(TEST)
    share = accuracy_score(y, model.predict(X))
    print(f"accuracy on {len(y)} tiles of micrographs never seen: {share:.3f}")
    if arguments.format == "skops":
        from skops.io import dump, get_untrusted_types

        dump(model, arguments.out / "model.skops", compression=8)  # 8: deflate
        print("trusted_types =", get_untrusted_types(file=arguments.out / "model.skops"))
    else:
        (arguments.out / "model.pkl").write_bytes(pickle.dumps(model, protocol=5))


if __name__ == "__main__":
    main()
