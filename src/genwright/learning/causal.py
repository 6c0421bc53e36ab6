"""Causal language models as `transformers` has them, made ready to be trained, and saved again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument
from genwright.generators.language.embedded import quietly, resolve
from genwright.learning.batches import Example, collate


def load_for_training(
    model: str, *, rank: int, alpha: int, tokens: Sequence[str] = ()
) -> tuple[Any, Any]:
    """Return (model, tokenizer) with the weights to train marked.

    Args:
        model: what `LocalLM` takes. A folder with an adapter is opened with it, and the adapter is
            what is trained on.
        rank: LoRA rank of a new adapter; 0 marks all weights, in float32.
        alpha: LoRA scale of a new adapter.
        tokens: whose embeddings a new adapter trains too.

    Raises:
        InvalidArgument: a token that is none of the model's.
    """
    import peft
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(resolve(model))
    adapter = folder / "adapter_config.json"
    base = folder
    if adapter.exists():
        base = Path(resolve(json.loads(adapter.read_text())["base_model_name_or_path"]))
    # A frozen weight needs no precision beyond what the products are computed in.
    frozen = rank > 0 and computes_in_bfloat16(training_device())
    with quietly(transformers):
        net = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.bfloat16 if frozen else torch.float32
        )
    tokenizer = AutoTokenizer.from_pretrained(base)
    if adapter.exists():
        net = peft.PeftModel.from_pretrained(net, folder, is_trainable=rank > 0)
        net = net if rank > 0 else net.merge_and_unload()
    elif rank > 0:
        config = peft.LoraConfig(
            r=rank,
            lora_alpha=alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
            trainable_token_indices=_ids(tokens, tokenizer) or None,
        )
        net = peft.get_peft_model(net, config)
        net.peft_config["default"].base_model_name_or_path = model
    for weight in net.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return net, tokenizer


def _ids(tokens: Sequence[str], tokenizer: Any) -> list[int]:
    known = tokenizer.get_vocab()
    unknown = [token for token in tokens if token not in known]
    if unknown:
        raise InvalidArgument(f"Supervised: the model has no token {unknown[0]!r}; add it first.")
    return [known[token] for token in tokens]


def body_and_head(model: Any) -> tuple[Any, Any]:
    """Split a causal language model into what makes hidden states and what makes logits."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    return causal.base_model, causal.get_output_embeddings()


def token_losses(model: Any, batch: Sequence[Example], *, pad: int) -> tuple[Any, Any]:
    """Return the loss of every completion token of a batch, with its gradient.

    Args:
        model: a causal language model.
        batch: B examples.
        pad: token that fills rows up.

    Returns:
        float32[N], nats; int64[N], the example of each token.
    """
    import torch
    import torch.nn.functional as F

    body, head = body_and_head(model)
    device = head.weight.device
    ids_BT, attend_BT, at, targets = (t.to(device) for t in collate(batch, pad))
    mixed = computes_in_bfloat16(device.type)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
        hidden_BTD = body(input_ids=ids_BT, attention_mask=attend_BT).last_hidden_state
        logits_NV = head(hidden_BTD[at[:, 0], at[:, 1]])
    return F.cross_entropy(logits_NV.float(), targets, reduction="none"), at[:, 0]


def save_trained(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save an adapter (a few megabytes) or all weights, and the tokenizer."""
    if hasattr(model, "peft_config"):  # the embeddings are the base's; or peft asks the hub
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def training_device() -> str:
    """Name the device that language models are trained on: the GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def computes_in_bfloat16(device: str) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32 here."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
