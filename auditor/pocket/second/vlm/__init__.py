"""The pocket Qwen2-VL: a small real `Qwen2VLForConditionalGeneration` that names how two pictures differ."""
