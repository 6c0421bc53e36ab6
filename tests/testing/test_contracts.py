"""Sound methods keep every law; for each law there is a broken method that only breaks it."""

from dataclasses import replace

import pytest
from sound_draws import coin, heads, seven
from sound_learning import imitate, most_passed, squares, total, written
from sound_steering import echo, holds_a, likes_the_last, words

from genwright.core import (
    Budget,
    InvalidArgument,
    Stop,
)
from genwright.core.registry import SLOTS
from genwright.testing import (
    check_contract,
    contract_checks,
)


def broken_laws(case, slot):
    """Return the names of the laws that a case breaks."""
    names = []
    for law in contract_checks(slot):
        try:
            law(case)
        except AssertionError as error:
            names += [law.__name__] if str(error) else []
    return names


def test_a_slot_without_laws_is_named():
    with pytest.raises(InvalidArgument, match=r"no laws for 'oven'; there are: .*'generator'"):
        contract_checks("oven")


@pytest.mark.parametrize("slot", list(SLOTS))
def test_every_law_has_a_name_that_says_it_and_a_broken_method(slot):
    names = {law.__name__ for law in contract_checks(slot)}
    assert names == {broken[1] for broken in BROKEN[slot]}
    assert all(law.__doc__ for law in contract_checks(slot))


CASES = {
    "drafts": echo,
    "filter": holds_a,
    "shaper": likes_the_last,
    "source": squares,
    "key": total,
    "loader": written,
    "selector": most_passed,
    "generator": coin,
    "verifier": seven,
    "strategy": heads,
    "constraint": words,
    "learner": imitate,
}
BROKEN = {
    "filter": [
        ("allows everything", "known_texts_get_the_known_answers"),
        ("after the first refusal none", "every_text_is_judged_on_its_own"),
        ("numbers of NumPy", "hostile_texts_get_an_answer"),
    ],
    "shaper": [
        ("float64", "rows_keep_their_shape_and_stay_numbers"),
        ("NaN", "rows_keep_their_shape_and_stay_numbers"),
        ("writes", "the_input_is_left_as_it_was"),
        ("idle", "the_odds_are_changed"),
        ("counts", "asking_twice_gives_the_same"),
        ("must be asked", "what_was_written_counts_not_when_it_was_asked"),
        ("one for all", "draws_do_not_share_a_state"),
    ],
    "source": [
        ("none", "rows_are_json_tables"),
        ("lists", "rows_are_json_tables"),
        ("sets", "rows_are_json_tables"),
        ("lacks one", "every_row_has_the_columns"),
        ("moody", "the_same_seed_gives_the_same_rows"),
        ("no seed", "another_seed_gives_other_rows"),
        ("hands out its own", "rows_belong_to_who_asked_for_them"),
    ],
    "key": [
        ("literal", "equal_answers_vote_together"),
        ("constant", "other_answers_vote_apart"),
        ("zero for nonsense", "nonsense_casts_no_vote"),
        ("raises", "hostile_values_are_no_exceptions"),
        ("list", "equal_answers_vote_together"),
        ("moody", "the_same_value_votes_the_same"),
        ("eats the value", "values_are_left_as_they_were"),
    ],
    "loader": [
        ("nowhere", "the_file_is_there"),
        ("empty", "the_file_is_there"),
        ("another path", "loading_again_changes_nothing"),
        ("again", "loading_again_changes_nothing"),
        ("leaves a part", "only_the_file_is_left"),
    ],
    "drafts": [
        ("guesses the end", "guesses_are_a_tree"),
        ("its own parent", "guesses_are_a_tree"),
        ("odds rise", "guesses_are_a_tree"),
        ("four whatever is asked", "guesses_are_a_tree"),
        ("guesses nothing", "what_was_seen_is_guessed"),
        ("tells of the first prompt", "a_prompt_is_its_own_draws_alone"),
        ("at least one", "no_size_is_no_guess"),
    ],
    "selector": [
        ("the best alone", "every_program_stands_in_one_group"),
        ("worst first", "scores_fall"),
        ("NaN", "scores_fall"),
        ("one by one", "equal_rows_stand_together"),
        ("the first test counts double", "the_order_of_programs_and_tests_is_irrelevant"),
        ("no counts", "counts_equal_repeating"),
        ("writes", "the_matrix_is_left_as_it_was"),
    ],
    "generator": [
        ("remembers", "same_seed_gives_the_same_draws"),
        ("forgets first", "draws_do_not_depend_on_how_they_are_asked_for"),
        ("one too many", "as_many_draws_as_asked_for"),
        ("free", "costs_add_up"),
        ("earns", "costs_add_up"),
        ("NaN", "log_probabilities_are_numbers"),
        ("eats the prompt", "the_prompt_is_left_as_it_was"),
        ("stream from 0", "a_stream_gives_the_same_draws"),
        ("stream shuffles", "a_stream_gives_the_same_draws"),
        ("no seed", "draws_differ"),
        ("one draw for all", "draws_differ"),
    ],
    "verifier": [
        ("blind", "gold_is_accepted"),
        ("kind", "corrupted_is_rejected"),
        ("fragile", "hostile_is_a_verdict"),
        ("drops duplicates of the batch", "a_batch_equals_its_single_draws"),
        ("first wins", "the_order_of_draws_is_irrelevant"),
        ("moody", "the_same_draw_gets_the_same_verdict"),
        ("sorts", "draws_are_left_as_they_were"),
        ("evidence of bytes", "verdicts_can_be_recorded"),
    ],
    "strategy": [
        ("moody", "same_seed_gives_the_same_outcome"),
        ("hides a draw", "every_draw_is_reported"),
        ("earns", "every_draw_is_reported"),
        ("no first", "no_draw_is_made_twice"),
        ("chooses its own", "the_choice_is_one_of_the_draws"),
        ("names no such part", "the_choice_is_one_of_the_draws"),
        ("leaves a part out", "the_choice_is_one_of_the_draws"),
        ("no room", "a_budget_in_draws_is_exact"),
        ("no reason", "a_budget_in_draws_is_exact"),
        ("blind to tokens", "other_budgets_are_overshot_by_one_call_at_most"),
        ("at least one", "an_empty_budget_draws_nothing"),
        ("edits the task", "the_task_is_left_as_it_was"),
        ("tuple keys", "what_it_reports_can_be_recorded"),
        ("goes round the ledger", "a_killed_run_resumes"),
        ("draws anew when recorded", "a_killed_run_resumes"),
    ],
    "constraint": [
        ("bytes", "masks_have_the_shape_of_the_vocabulary"),
        ("dead end", "there_is_always_a_way_on"),
        ("accepts early", "accepting_means_that_the_mask_allows_the_end"),
        ("refuses", "allowed_tokens_can_be_taken"),
        ("same fork", "forks_are_independent"),
        ("one state", "draws_do_not_share_a_state"),
        ("forces one of two", "forced_tokens_agree_with_the_masks"),
        ("never ends", "finished_walks_belong_to_the_set"),
        ("one word too many", "finished_walks_belong_to_the_set"),
        ("misses a word", "members_are_allowed_and_outsiders_are_not"),
    ],
    "learner": [
        ("in place", "the_generator_is_left_as_it_was"),
        ("moody", "the_same_seed_gives_the_same_result"),
        ("eats the data", "the_data_is_left_as_it_was"),
        ("lazy", "something_is_learned"),
    ],
}


@pytest.mark.parametrize("slot", CASES)
def test_a_sound_method_keeps_every_law(slot):
    check_contract(CASES[slot]())
    assert broken_laws(CASES[slot](), slot) == []


@pytest.mark.parametrize(
    ("slot", "twist", "name"), [(slot, *pair) for slot in BROKEN for pair in BROKEN[slot]]
)
def test_a_broken_method_breaks_the_law(slot, twist, name):
    case = CASES[slot](twist)
    assert name in broken_laws(case, slot)
    sentence = name.replace("_", " ")
    with pytest.raises(AssertionError, match="breaks the law") as caught:
        check_contract(case)
    said = str(caught.value)
    assert said.startswith(f"{slot} {type(case.make()).__name__} breaks the law")
    assert sentence in said or broken_laws(case, slot)[0] != name


def test_a_generator_that_is_not_random_need_not_differ():
    case = replace(coin("no seed"), random=False)
    assert broken_laws(case, "generator") == []


def test_a_learner_that_has_nothing_to_learn_may_return_a_copy():
    assert broken_laws(replace(imitate("lazy"), changes=False), "learner") == []


def test_the_stated_batch_is_the_overshoot_allowed():
    """Two a call: one token past the limit is fine, and is not where one a call is stated."""
    assert broken_laws(heads(), "strategy") == []
    wrong = broken_laws(replace(heads(), batch=1), "strategy")
    assert wrong == ["other_budgets_are_overshot_by_one_call_at_most"]


def test_draws_for_a_prompt_of_its_own_need_not_be_among_the_samples():
    assert broken_laws(heads("plans first"), "strategy") == []


def test_a_budget_of_more_than_is_needed_may_end_complete():
    outcome, watch = heads().run(Budget(draws=10))
    assert (outcome.stop, len(watch.drawn)) == (Stop.COMPLETE, 10)
