"""toolgen's smoke run holds and can fail; its scripted model does what its script says."""

import pytest

from genwright.claims import toolgen
from genwright.claims.scripted_coder import MARK, ScriptedCoder, made_project, made_up

pytest.importorskip("jedi")
pytest.importorskip("pylint")


@pytest.mark.slow
def test_the_smoke_run_holds():
    found = toolgen.run("smoke", seed=1)
    assert found.holds, (found.broken, found.metrics)
    assert found.metrics["jedi_failed"] == 0
    # 20 second names; of 20 first triggers each third one is not sure enough
    assert found.metrics["asked"] == 20 + 13
    assert found.metrics["validity_completed"] == pytest.approx(13 / 20)
    assert found.metrics["validity_free"] == 0


def test_the_script_asks_before_each_name_and_makes_up_its_end(tmp_path):
    model = ScriptedCoder(made_project(tmp_path / "p", 3, seed=2).right)
    ids = model.vocabulary.encode('    def use(self):\n        """Use a Class1 once"""\n')
    start = len(ids)
    while (token := int(model.logits(ids).argmax())) not in model.vocabulary.eos:
        ids.append(token)
    first, second = (made_up(name) for name in model.right["Class1"])
    assert (
        model.vocabulary.decode(ids[start:]).decode()
        == f"        return self.{first}(self.{second})"
    )
    assert ids.count(MARK) == 2


def test_made_projects_follow_their_seed_and_are_python(tmp_path):
    one, same, other = (
        made_project(tmp_path / n, 4, seed) for n, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert one.right == same.right != other.right
    for path in sorted((tmp_path / "a").rglob("*.py")):
        compile(path.read_text(), str(path), "exec")
