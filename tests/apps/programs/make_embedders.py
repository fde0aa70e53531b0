"""Makes a small BERT with random weights and a tokenizer, as optimum and as sentence-transformers keep them."""

import sys
from pathlib import Path

import torch
from optimum.onnxruntime import ORTModelForFeatureExtraction
from sentence_transformers import SentenceTransformer, models
from transformers import BertConfig, BertModel, BertTokenizerFast

folder = Path(sys.argv[1])
plain = folder / "bert"
plain.mkdir(parents=True, exist_ok=True)
words = "price of the red blue small shoes coat table lamp for winter near me cheap best open today how to fix".split()
(plain / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
torch.manual_seed(0)
BertModel(
    BertConfig(
        vocab_size=64,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=64,
    )
).save_pretrained(plain)
BertTokenizerFast(str(plain / "vocab.txt")).save_pretrained(plain)
ORTModelForFeatureExtraction.from_pretrained(plain, export=True).save_pretrained(folder / "optimum")
BertTokenizerFast(str(plain / "vocab.txt")).save_pretrained(folder / "optimum")
transformer = models.Transformer(str(plain), max_seq_length=32)
sentence = SentenceTransformer(modules=[transformer, models.Pooling(256)], device="cpu")
sentence.save(str(folder / "torch"))
SentenceTransformer(str(folder / "torch"), backend="onnx", device="cpu").save_pretrained(str(folder / "sentence"))
