"""A verifier of genwright as the reward of TRL's GRPO, on a tiny random Llama.

    pip install 'genwright[lm,friends]'
    python examples/trl_reward.py

The model is random and has 13 letters, so that this runs in seconds: the digits it happens to write
earn a reward when they are the wanted one.
"""

import tempfile

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import GRPOConfig, GRPOTrainer

from genwright.verifiers.adapters import as_trl_reward
from genwright.verifiers.match import RegexMatch

set_seed(0)
letters = ["<pad>", "<eos>", "?", *"0123456789"]
words = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(letters)}, "?"))
words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="?"
)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(letters),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
)

# The columns of the data set reach the function that makes the verifier.
reward = as_trl_reward(lambda row: RegexMatch(pattern=row["wanted"]))
data = Dataset.from_list([{"prompt": f"{d}?", "wanted": str(d)} for d in range(8)])

with tempfile.TemporaryDirectory() as folder:
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=reward,
        train_dataset=data,
        args=GRPOConfig(
            output_dir=folder,
            max_steps=2,
            per_device_train_batch_size=8,
            num_generations=4,
            max_completion_length=6,
            learning_rate=1e-3,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
    )
    trainer.train()
    for entry in trainer.state.log_history:
        if "reward" in entry:
            print(f"step {entry['step']}: mean reward {entry['rewards/genwright/mean']:.3f}")
