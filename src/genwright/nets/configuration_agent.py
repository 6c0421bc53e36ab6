"""The network that reads a query and its candidates and tells how to search them.

Wang et al. 2024, "CORAG", arXiv:2411.00744, Section 5: frozen embeddings of the query and of the
mean candidate go through a layer each, are fused to 256 and 128 features, and two heads tell the
best reranker's class and the settings of the search. The sizes are the paper's code's.
"""

import torch
from torch import Tensor, nn


class ConfigurationNet(nn.Module):
    """Embeddings -> (features, class logits, settings).

    Args:
        size: D, of an embedding.
        classes: rerankers to choose among.
        settings: numbers to predict.
        dropout: share of features that training drops.
    """

    def __init__(
        self, size: int, classes: int = 6, settings: int = 3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Linear(size, 512), nn.ReLU(), nn.Dropout(dropout))
        self.chunks = nn.Sequential(nn.Linear(size, 512), nn.ReLU(), nn.Dropout(dropout))
        self.fuse = nn.Sequential(
            nn.Linear(1024, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.classes = nn.Linear(128, classes)
        self.settings = nn.Linear(128, settings)

    def forward(self, query_BD: Tensor, chunks_BD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features [B, 128], class logits [B, classes] and settings [B, settings]."""
        both = torch.cat([self.query(query_BD), self.chunks(chunks_BD)], 1)
        features = self.fuse(both)
        return features, self.classes(features), self.settings(features)
