"""Drawn persons for all tests of training."""

import pytest

from tests.helpers import draw_set


@pytest.fixture(scope="package")
def drawn_people(tmp_path_factory):
    """Four drawn persons on three pictures."""
    return draw_set(tmp_path_factory.mktemp("people") / "drawn")


@pytest.fixture(scope="package")
def people(drawn_people):
    """Those persons eight times an epoch, and a place for their crops."""
    pytest.importorskip("torch")
    from tests.train.runs import data_of

    return data_of(drawn_people, drawn_people.images.parent / "store", repeat=8)


@pytest.fixture(scope="package")
def few_people(drawn_people):
    """Those persons once an epoch, with the same crops."""
    pytest.importorskip("torch")
    from tests.train.runs import data_of

    return data_of(drawn_people, drawn_people.images.parent / "store")


@pytest.fixture(scope="package")
def learned(people, tmp_path_factory, one_thread):  # noqa: ARG001
    """A run that learns its four persons by heart: its configuration and diary."""
    from lightpose.train.config import OptimConfig
    from lightpose.train.loss import LossConfig
    from tests.train.runs import LEARNER, PLAIN, Diary, config_for, train

    config = config_for(
        people,
        tmp_path_factory.mktemp("learned"),
        model=LEARNER,
        optim=OptimConfig(lr=3e-3, batch=4, epochs=8, schedule="cosine", clip_norm=5.0),
        loss=LossConfig(mse=200, cross_entropy=0.3),
        augment=PLAIN,
        preview_every=3,
        checkpoint_every_s=1e9,
    )
    diary = Diary()
    train(config, diary)
    return config, diary
