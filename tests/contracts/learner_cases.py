"""Cases of learners."""

from dataclasses import replace

import numpy as np
from case_parts import NUMBER, cls
from generator_cases import generator__diffusion_model

from genwright.testing import LearnerCase


def learner__supervised(tiny_llama, tmp_path):
    kind, lm = cls("learner", "supervised"), cls("generator", "local_lm")
    folder = tmp_path / "trained"

    def make():
        return kind(
            folder=f"{folder}{next(NUMBER)}", steps=2, batch=2, rank=4, learning_rate=0.1, warmup=1
        )

    return LearnerCase(
        make=make,
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[{"prompt": f"say {c}", "completion": c * 3} for c in "abcd"],
        prompt="say a",
        n=2,
    )


def learner__class_conditional(tiny_llama, tmp_path):
    kind, lm = cls("learner", "class_conditional"), cls("generator", "local_lm")
    folder, codes = tmp_path / "codes", ("good: ", "bad: ")

    def make():
        settings = {"steps": 2, "batch": 2, "rank": 4, "learning_rate": 0.1, "warmup": 1}
        return kind(folder=f"{folder}{next(NUMBER)}", codes=codes, **settings)

    return LearnerCase(
        make=make,
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[{"text": c * 3, "code": codes[c > "b"]} for c in "abcd"],
        prompt="good: a",
        n=2,
    )


def learner__policy_value_learner(tiny_llama, tmp_path):
    kind, lm = cls("learner", "policy_value_learner"), cls("generator", "local_lm")
    folder = tmp_path / "valued"
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", steps=2, batch=2, learning_rate=0.1),
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[
            {"prompt": f"say {c}", "steps": [c * 3], "values": [1.0], "right": True} for c in "abcd"
        ],
        prompt="say a",
        n=2,
    )


def share_of_capitals(text, row):
    return sum(c.isupper() for c in text) / max(1, len(text))


def learner__selective_rl(tiny_llama, tmp_path):
    kind, lm = cls("learner", "selective_rl"), cls("generator", "local_lm")
    folder, small = tmp_path / "selective", {"hidden": 4, "layers": 1, "batch": 2}
    settings = {"episodes": 2, "teach": 2, "teach_rate": 0.1, "learning_rate": 0.1}
    return LearnerCase(
        make=lambda: kind(
            folder=f"{folder}{next(NUMBER)}", reward=share_of_capitals, **small, **settings
        ),
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[{"prompt": f"say {c}", "completion": c * 3} for c in "abcd"],
        prompt="say a",
    )


def learner__denoising_learner(tmp_path):
    kind, folder = cls("learner", "denoising_learner"), tmp_path / "denoised"
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", steps=2, batch=4, learning_rate=0.1),
        generator=generator__diffusion_model(tmp_path).make,
        data=[{"prompt": c, "completion": np.full(2, c, np.float32)} for c in (0, 1)],
        prompt=1,
    )


def learner__consistency_distiller(tmp_path):
    kind, folder = cls("learner", "consistency_distiller"), tmp_path / "consistent"
    settings = {"steps": 2, "batch": 4, "levels": 3, "sub_path": "variance", "learning_rate": 0.1}
    case = learner__denoising_learner(tmp_path)
    return replace(case, make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings))


def learner__domain_studio(tmp_path):
    make = cls("loader", "untrained_denoiser")(
        path=str(tmp_path / "model"), shape=(1, 2, 2), width=8
    )
    kind, folder = cls("learner", "domain_studio"), tmp_path / "adapted"
    settings = {"steps": 2, "batch": 3, "learning_rate": 0.1}
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings),
        generator=lambda: cls("generator", "diffusion_model")(denoiser=str(make()), steps=2),
        data=[{"prompt": None, "completion": np.full((1, 2, 2), v)} for v in (0.0, 0.5, 1.0)],
        prompt=None,
    )


def on_pairs(tmp_path, name):
    kind, folder = cls("learner", name), tmp_path / name
    rows = [{"prompt": c, "noise": [1.0, -c], "completion": [c, 2.0]} for c in (0, 1)]
    settings = {"steps": 2, "batch": 4, "learning_rate": 0.1}
    case = learner__denoising_learner(tmp_path)
    return replace(case, make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings), data=rows)


def learner__reflow(tmp_path):
    return on_pairs(tmp_path, "reflow")


def learner__pair_distiller(tmp_path):
    return on_pairs(tmp_path, "pair_distiller")


def learner__slim_flow(tmp_path):
    case, kind = learner__denoising_learner(tmp_path), cls("learner", "slim_flow")
    student = case.generator().denoiser
    stages = {"steps": 2, "batch": 4, "learning_rate": 0.1}
    return replace(
        case,
        make=lambda: kind(
            student=student,
            pairs=4,
            reflow=cls("learner", "reflow")(**stages),
            distil=cls("learner", "pair_distiller")(**stages),
        ),
    )


def learner__match(tmp_path):
    kind, folder = cls("learner", "match"), tmp_path / "matched"
    return LearnerCase(
        make=lambda: kind(
            folder=f"{folder}{next(NUMBER)}",
            steps=2,
            batch=4,
            fake_per_step=1,
            learning_rate=0.1,
        ),
        generator=generator__diffusion_model(tmp_path).make,
        data=[],
        prompt=1,
    )


def learner__multi_student(tmp_path):
    kind, one = cls("learner", "multi_student"), learner__match(tmp_path)
    return replace(
        one, make=lambda: kind(match=replace(one.make(), folder=""), k=2, folder=one.make().folder)
    )


def learner__comment_contrastive(tiny_llama, tmp_path):
    case, kind = learner__supervised(tiny_llama, tmp_path), cls("learner", "comment_contrastive")
    rows = [{"prompt": f"say {c}", "completion": f"# tell\nprint('{c}')\n"} for c in "abcd"]
    return replace(case, make=lambda: kind(training=case.make()), data=rows)


def learner__fit_kv_predictor(tiny_llama, tmp_path):
    kind, lm = cls("learner", "fit_kv_predictor"), cls("generator", "local_lm")
    folder = tmp_path / "predictor"
    settings = {"steps": 2, "batch": 2, "length": 8, "ridge": 50, "learning_rate": 0.1}
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings),
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[{"text": f"{c} says {c * 3}"} for c in "abcd"],
        prompt="a says",
        n=2,
    )


def learner__self_imitation(tiny_llama, tmp_path):
    kind, inner = cls("learner", "self_imitation"), learner__supervised(tiny_llama, tmp_path)
    yes = cls("verifier", "predicate")(function=bool)
    return replace(
        inner,
        make=lambda: kind(learner=inner.make(), critic=yes, draws=2, rounds=1),
        data=[{"prompt": f"say {c}"} for c in "abcd"],
    )
