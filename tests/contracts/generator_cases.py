"""Cases of generators."""

import json
from dataclasses import replace

from case_parts import cls, small_denoiser

from genwright.generators.language.tabular import TabularModel
from genwright.testing import GeneratorCase


def generator__local_lm(tiny_llama):
    kind = cls("generator", "local_lm")
    return GeneratorCase(
        make=lambda: kind(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        prompt="say",
        n=3,
    )


def generator__aligned_sampler():
    grammar = cls("constraint", "regex")(pattern="(a|b)(ab|c){1,2}")
    model = TabularModel(size=4, depth=3, seed=1, sharpness=0.3)
    kind = cls("generator", "aligned_sampler")
    return GeneratorCase(
        make=lambda: kind(model=model, constraint=grammar, max_tokens=5), prompt=[0], n=3
    )


def generator__policy_value_lm(tiny_llama):
    case, kind = generator__local_lm(tiny_llama), cls("generator", "policy_value_lm")
    return replace(case, make=lambda: kind(policy=case.make()))


def generator__selective_generator(tiny_llama, tmp_path):
    from genwright.nets.adapters import RecurrentAdapter

    RecurrentAdapter(32, hidden=4, layers=1).save(tmp_path / "adapter")
    case, kind = generator__local_lm(tiny_llama), cls("generator", "selective_generator")
    return replace(case, make=lambda: kind(base=case.make(), adapter=str(tmp_path / "adapter")))


def generator__remote_lm(endpoint):
    kind = cls("generator", "remote_lm")
    return GeneratorCase(
        make=lambda: kind(base_url=endpoint, model="scripted", api_key_env=""), prompt="say", n=3
    )


def generator__recorded_generator(tmp_path):
    path, kind = tmp_path / "draws.jsonl", cls("generator", "recorded_generator")
    path.write_text(json.dumps({"prompt": "p", "completions": list("abcdef")}))
    return GeneratorCase(make=lambda: kind(path=str(path)), prompt="p")


def generator__random_valid(letters):
    regex, kind = cls("constraint", "regex"), cls("generator", "random_valid")
    return GeneratorCase(
        make=lambda: kind(constraint=regex(pattern="[abc]{2,4}"), vocabulary=letters), prompt="p"
    )


def generator__mutations():
    kind = cls("generator", "mutations")
    return GeneratorCase(make=lambda: kind(max_operations=6), prompt=["x @ 0", "c0 @ 0"])


def generator__random_programs():
    kind = cls("generator", "random_programs")
    return GeneratorCase(make=lambda: kind(max_operations=4), prompt="")


def generator__diffusion_model(tmp_path):
    kind, folder = cls("generator", "diffusion_model"), small_denoiser(tmp_path)
    return GeneratorCase(make=lambda: kind(denoiser=folder, steps=2, batch=2), prompt=1)


def generator__one_step(tmp_path):
    kind, folder = cls("generator", "one_step"), small_denoiser(tmp_path)
    return GeneratorCase(make=lambda: kind(denoiser=folder, batch=2), prompt=1)


def generator__routed(tmp_path):
    kind, one = cls("generator", "routed"), generator__one_step(tmp_path).make
    return GeneratorCase(
        make=lambda: kind(generators=(one(), one()), prompts=((0,), (1,))), prompt=1
    )


def generator__neurologic_beam():
    kind, cnf = cls("generator", "neurologic_beam"), cls("constraint", "cnf")
    model = TabularModel(size=4, depth=3, seed=1, sharpness=0.3)
    settings = {"cnf": cnf(clauses=[["ab", "c"]], whole=False), "beam": 4, "max_tokens": 6}
    return GeneratorCase(make=lambda: kind(model=model, **settings), prompt=[0], n=6, random=False)
